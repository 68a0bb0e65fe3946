// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Walk everything an image says through core: what a mount followed by `find` and `cat` would
// touch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace daxfs::core_testing {

// How far an image lets a reader come.
enum class Depth { kNotOpened, kInodes, kWalked };

struct WalkResult {
  int error = 0;    // 0 or the negative errno of the first refusal
  std::string why;  // core's reason for it
  Depth depth = Depth::kNotOpened;
  uint64_t inodes = 0;    // visited
  uint64_t checksum = 0;  // of every byte reached, so that each is really read
};

// Opens `size` bytes at `base` (page-aligned or not) and visits every inode reachable from the
// root: attributes, entries by index and by name, extents and their bytes, targets, xattrs,
// digests. Visits at most `max_inodes` inodes and reads at most `max_bytes` bytes of file data.
WalkResult Walk(const void* base, size_t size, uint64_t max_inodes, uint64_t max_bytes);

}  // namespace daxfs::core_testing
