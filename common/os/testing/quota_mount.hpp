// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "common/os/testing/scratch.hpp"

namespace daxfs::os::testing {

// An ext4 of 64 MiB whose project quotas are enforced, mounted for this process alone. Goes with
// it.
class QuotaMount {
 public:
  QuotaMount();
  ~QuotaMount();
  QuotaMount(const QuotaMount&) = delete;
  QuotaMount& operator=(const QuotaMount&) = delete;

  // Why there is none; "": it is there.
  const std::string& why_not() const { return why_not_; }
  std::string path() const { return scratch_.path() + "/mount"; }

 private:
  Scratch scratch_;
  std::string why_not_;
};

// Whether so many bytes could be written to a new file at `path` by who is limited as a container's
// root is.
bool FitsForAContainer(const std::string& path, std::uint64_t bytes);

}  // namespace daxfs::os::testing
