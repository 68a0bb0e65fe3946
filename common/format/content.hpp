// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "common/base/status.hpp"
#include "common/format/advance.hpp"
#include "common/format/image.hpp"

namespace daxfs::format {

using ContentDigest = std::array<std::byte, 32>;

// SHA-256 of a file's whole content, holes as zeros. Errors: the image's; `advance`'s.
Result<ContentDigest> DigestOfContent(const Image& image, const Inode& inode,
                                      const Advance& advance = {});

// Whether two files have the same bytes; holes are zeros. Errors: the images'; `advance`'s.
Result<bool> SameContent(const Image& image, const Inode& inode, const Image& other_image,
                         const Inode& other, const Advance& advance = {});

// One extent as it is stored. All in bytes.
struct FileExtent {
  std::uint64_t logical = 0;
  std::uint64_t offset = 0;  // in the image
  std::uint64_t length = 0;  // whole blocks
  bool operator==(const FileExtent&) const = default;
};

// Calls `take` for every extent of a file. Errors: the image's; `take`'s.
Status ForEachExtent(const Image& image, const Inode& inode,
                     const std::function<Status(const FileExtent&)>& take);

}  // namespace daxfs::format
