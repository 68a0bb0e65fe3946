// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace daxfs::base {

// Prints `condition` with its place to stderr and aborts. Called by DAXFS_CHECK only.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace daxfs::base

// Stops the program when an invariant of ours is broken; stays on in release builds. Never for bad
// input.
#define DAXFS_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::daxfs::base::CheckFailed(#condition, __FILE__, __LINE__))
