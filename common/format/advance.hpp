// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "common/base/status.hpp"

namespace daxfs::format {

// Told by long work that `bytes` and `entries` more are done. A failure ends that work. Empty:
// nobody wants to know.
using Advance = std::function<Status(std::uint64_t bytes, std::uint64_t entries)>;

inline Status Tell(const Advance& advance, std::uint64_t bytes, std::uint64_t entries) {
  return advance ? advance(bytes, entries) : Status::Ok();
}

}  // namespace daxfs::format
