// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/convert/image_builder.hpp"
#include "common/os/progress.hpp"

namespace daxfs::imagebuilder {

// The progress line as what a build reports to.
class Progress final : public convert::Monitor, public os::Progress {
 public:
  using os::Progress::Progress;
  Status Advance(std::uint64_t source_bytes, std::uint64_t entries) override {
    return os::Progress::Advance(source_bytes, entries);
  }
};

}  // namespace daxfs::imagebuilder
