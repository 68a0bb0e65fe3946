// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "common/base/status.hpp"
#include "common/format/advance.hpp"
#include "common/format/image.hpp"

namespace daxfs::format {

enum class VerifyLevel {
  kNone,  // the superblock, which opening checked already
  kMeta,  // root digest, and every rule of docs/format.md that metadata can break
  kFull,  // also the digest of every piece of data, and zeros behind the end of each file
};

struct VerifySummary {
  std::uint64_t inodes = 0;
  std::uint64_t directory_entries = 0;
  std::uint64_t data_pieces = 0;  // digests compared
  std::uint64_t data_bytes = 0;   // under them
};

// Tells `advance` of inodes and of bytes of the data area. Errors: kDataLoss with the first thing
// that is wrong; those of `advance`.
Result<VerifySummary> Verify(const Image& image, VerifyLevel level, const Advance& advance = {});

}  // namespace daxfs::format
