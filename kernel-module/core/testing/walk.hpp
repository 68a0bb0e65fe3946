// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Walk everything an image says through every function of core: what a mount followed by `find` and
// `cat` would touch, what nobody would ask for (names and positions that are not there), and every
// inode no directory names. Each answer is held against bounds worked out here, not by core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace daxfs::core_testing {

// What was being read when an image was refused first; kNone: it was walked whole.
enum class Level {
  kSuperblock,
  kSections,
  kDigests,
  kInode,
  kDirent,
  kSymlink,
  kExtent,
  kXattr,
  kNone
};

const char* NameOf(Level level);

struct WalkResult {
  int error = 0;    // 0 or the negative errno of the first refusal below the root
  std::string why;  // core's reason for it
  Level refused = Level::kNone;
  // Not empty: core answered what it may not, whatever the bytes say: a pointer outside its
  // section, an errno or a silence core.h does not allow, two functions that contradict each other.
  std::string violation;
  uint64_t inodes = 0;    // visited from the root
  uint64_t calls = 0;     // of core
  uint64_t checksum = 0;  // of every byte reached, so that each is really read
};

// Opens `size` bytes at `base` (8-aligned) and visits the tree from the root, then every other
// inode. A refusal ends what it is about and nothing else. Visits at most `max_inodes` inodes and
// reads at most `max_bytes` bytes of file data.
//
// `between`, if there is one, runs before every call once the image is open and may change its
// bytes, as another host may; then only what must hold even so is asserted.
WalkResult Walk(const void* base, size_t size, uint64_t max_inodes, uint64_t max_bytes,
                const std::function<void()>& between = nullptr);

}  // namespace daxfs::core_testing
