// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The C++ face of the field types in types.h: bytes with a meaning and no conversions.
#pragma once

#include <linux/types.h>

namespace daxfs {

// A little-endian field of shared memory. C++ may copy and compare it for identity; only
// kernel-module/core reads or writes the number in it.
template <typename T>
struct Le {
  T raw_little_endian;
};

}  // namespace daxfs

using daxfs_le16 = daxfs::Le<__u16>;
using daxfs_le32 = daxfs::Le<__u32>;
using daxfs_le64 = daxfs::Le<__u64>;
