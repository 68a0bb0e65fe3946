// SPDX-License-Identifier: Apache-2.0
#include "common/format/verify.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernel-module/core/core.h"

namespace daxfs::format {
namespace {

constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kTypeDirectory = 0040000;
constexpr std::uint32_t kTypeFile = 0100000;
constexpr std::uint32_t kTypeSymlink = 0120000;
constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

struct FileRange {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t number;
  bool huge;
};

using Sha256 = std::array<unsigned char, DAXFS_DIGEST_SIZE>;

struct Bytes {
  const void* data = nullptr;
  std::size_t size = 0;
};

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// SHA-256 of one run of bytes and the next.
Sha256 HashOf(const Bytes& first, const Bytes& second) {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  Sha256 digest{};
  const bool ok = context != nullptr &&
                  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1 &&
                  EVP_DigestUpdate(context.get(), first.data, first.size) == 1 &&
                  EVP_DigestUpdate(context.get(), second.data, second.size) == 1 &&
                  EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  DAXFS_CHECK(ok);
  return digest;
}

class Verifier {
 public:
  Verifier(const Image& image, const Advance& advance) : core_(image.core()), advance_(advance) {}

  Result<VerifySummary> Run(VerifyLevel level);

 private:
  Status CheckRoot();
  Status CheckTree();
  Status CheckDirectory(const daxfs_attr& dir);
  Status CheckNode(const daxfs_attr& attr);
  Status CheckFile(const daxfs_attr& attr);
  Status CheckXattrs(const daxfs_attr& attr);
  Status CheckHugeChunks();
  Status CheckPieces();
  Status CheckPadding(const FileRange& range, std::uint64_t size);
  Result<daxfs_attr> Get(std::uint64_t number);
  Status Bad(std::uint64_t number, const char* why) {
    return DataLossError("inode " + std::to_string(number) + ": " + why);
  }

  const daxfs_image& core_;
  const Advance& advance_;
  bool check_data_ = false;
  VerifySummary summary_;
  std::vector<std::uint64_t> names_;  // inode - 1 -> directory entries seen that name it
  std::vector<FileRange> ranges_;
};

Result<daxfs_attr> Verifier::Get(std::uint64_t number) {
  const char* why = "no such number";
  daxfs_attr attr = {};
  if (daxfs_inode_get(&core_, number, &attr, &why) != 0) return Bad(number, why);
  return attr;
}

Status Verifier::CheckRoot() {
  std::array<unsigned char, DAXFS_BLOCK_SIZE> block{};
  daxfs_super_for_root(block.data(), core_.base);
  const void* metadata = daxfs_image_at(&core_, core_.info.meta_offset, core_.info.meta_size);
  if (metadata == nullptr) return DataLossError("metadata outside the image");
  const Sha256 digest = HashOf({block.data(), block.size()}, {metadata, core_.info.meta_size});
  if (std::memcmp(digest.data(), core_.info.root, digest.size()) != 0) {
    return DataLossError("root digest does not match the metadata");
  }
  return Status::Ok();
}

// Every inode, then every name: together they are one tree with right link counts.
Status Verifier::CheckTree() {
  summary_.inodes = core_.info.section[DAXFS_SECTION_INODES].count;
  names_.assign(summary_.inodes, 0);
  for (std::uint64_t number = 1; number <= summary_.inodes; ++number) {
    ASSIGN_OR_RETURN(const daxfs_attr attr, Get(number));
    RETURN_IF_ERROR(CheckNode(attr));
    RETURN_IF_ERROR(Tell(advance_, 0, 1));
  }
  for (std::uint64_t number = 1; number <= summary_.inodes; ++number) {
    ASSIGN_OR_RETURN(const daxfs_attr attr, Get(number));
    const bool is_directory = (attr.mode & kTypeMask) == kTypeDirectory;
    const std::uint64_t seen = names_[number - 1];
    if (is_directory && seen != (number == DAXFS_ROOT_INO ? 0 : 1)) {
      return Bad(number, "directory without exactly one name");
    }
    if (!is_directory && seen != attr.nlink) return Bad(number, "link count");
  }
  return CheckHugeChunks();
}

Status Verifier::CheckNode(const daxfs_attr& attr) {
  RETURN_IF_ERROR(CheckXattrs(attr));
  const std::uint32_t type = attr.mode & kTypeMask;
  const char* why = "";
  const char* target = nullptr;
  if (type == kTypeDirectory) return CheckDirectory(attr);
  if (type == kTypeFile) return CheckFile(attr);
  if (type == kTypeSymlink && daxfs_symlink_target(&core_, &attr, &target, &why) != 0) {
    return Bad(attr.ino, why);
  }
  return Status::Ok();
}

Status Verifier::CheckDirectory(const daxfs_attr& dir) {
  const char* why = "";
  if (daxfs_dir_check(&core_, &dir, 0, kAll, &why) != 0) return Bad(dir.ino, why);
  std::uint64_t subdirectories = 0;
  for (std::uint64_t i = 0; i < dir.data_count; ++i) {
    daxfs_entry entry = {};
    if (daxfs_dir_entry(&core_, &dir, i, &entry, &why) != 0) return Bad(dir.ino, why);
    ASSIGN_OR_RETURN(const daxfs_attr child, Get(entry.ino));
    if (daxfs_child_check(&dir, &entry, &child, &why) != 0) return Bad(dir.ino, why);
    ++names_[entry.ino - 1];
    subdirectories += (child.mode & kTypeMask) == kTypeDirectory ? 1 : 0;
  }
  summary_.directory_entries += dir.data_count;
  if (dir.nlink != 2 + subdirectories) return Bad(dir.ino, "link count of a directory");
  return Status::Ok();
}

Status Verifier::CheckFile(const daxfs_attr& attr) {
  const char* why = "";
  __u64 allocated = 0;
  if (daxfs_extents_check(&core_, &attr, 0, kAll, &allocated, &why) != 0) {
    return Bad(attr.ino, why);
  }
  const bool huge = (attr.flags & DAXFS_INODE_HUGE) != 0;
  const bool large = core_.info.huge_min != 0 && attr.size >= core_.info.huge_min;
  if (huge != large) return Bad(attr.ino, "HUGE does not fit the size");
  for (std::uint64_t i = 0; i < attr.data_count; ++i) {
    daxfs_map map = {};
    if (daxfs_extent_get(&core_, &attr, i, &map, &why) != 0) return Bad(attr.ino, why);
    const FileRange range{map.offset, map.offset + map.length, attr.ino, huge};
    if (check_data_ && map.logical + map.length > attr.size) {
      RETURN_IF_ERROR(CheckPadding(range, attr.size - map.logical));
    }
    ranges_.push_back(range);
  }
  return Status::Ok();
}

Status Verifier::CheckPadding(const FileRange& range, std::uint64_t size) {
  const std::uint64_t start = range.start + size;
  const void* bytes = daxfs_image_at(&core_, start, range.end - start);
  const auto* first = static_cast<const unsigned char*>(bytes);
  if (bytes == nullptr || std::any_of(first, first + (range.end - start),
                                      [](unsigned char byte) { return byte != 0; })) {
    return Bad(range.number, "bytes behind the end of the file are not zero");
  }
  return Status::Ok();
}

Status Verifier::CheckXattrs(const daxfs_attr& attr) {
  __u64 position = 0;
  std::string_view before;
  std::uint32_t count = 0;
  for (;;) {
    const char* why = "";
    daxfs_xattr_entry entry = {};
    const int more = daxfs_xattr_next(&core_, &attr, &position, &entry, &why);
    if (more < 0) return Bad(attr.ino, why);
    if (more == 0) break;
    const std::string_view name(entry.name, entry.name_length);
    if (count > 0 && before >= name) return Bad(attr.ino, "extended attributes out of order");
    before = name;
    ++count;
  }
  if (count != attr.xattr_count) return Bad(attr.ino, "number of extended attributes");
  return Status::Ok();
}

// Nobody but files with the very same data reaches into a chunk a HUGE file's data touches, and
// only HUGE files start on a chunk.
Status Verifier::CheckHugeChunks() {
  std::sort(ranges_.begin(), ranges_.end(), [](const FileRange& a, const FileRange& b) {
    return a.start != b.start ? a.start < b.start : a.end < b.end;
  });
  std::uint64_t huge_start = 0;
  std::uint64_t huge_end = 0;
  for (const FileRange& range : ranges_) {
    if (!range.huge && range.start % DAXFS_CHUNK_SIZE == 0) {
      return Bad(range.number, "starts on a chunk and is not HUGE");
    }
    const bool same = range.huge && range.start == huge_start;
    if (!same && range.start < huge_end) {
      return Bad(range.number, "data in a chunk of a HUGE file");
    }
    if (!range.huge) continue;
    huge_start = range.start;
    const std::uint64_t chunks = (range.end + DAXFS_CHUNK_SIZE - 1) / DAXFS_CHUNK_SIZE;
    huge_end = std::max(huge_end, chunks * DAXFS_CHUNK_SIZE);
  }
  return Status::Ok();
}

Status Verifier::CheckPieces() {
  summary_.data_pieces = daxfs_piece_count(&core_.info);
  for (std::uint64_t piece = 0; piece < summary_.data_pieces; ++piece) {
    __u64 offset = 0;
    __u64 length = 0;
    const __u8* digest = nullptr;
    const char* why = "no digest";
    const std::string name = "data piece " + std::to_string(piece);
    if (daxfs_piece_get(&core_, piece, &offset, &length, &digest, &why) != 0) {
      return DataLossError(name + ": " + why);
    }
    const void* bytes = daxfs_image_at(&core_, offset, length);
    if (bytes == nullptr) return DataLossError(name + ": outside the image");
    const Sha256 actual = HashOf({bytes, length}, {});
    if (std::memcmp(actual.data(), digest, actual.size()) != 0) {
      return DataLossError(name + " (bytes " + std::to_string(offset) + " to " +
                           std::to_string(offset + length) + "): digest does not match");
    }
    summary_.data_bytes += length;
    RETURN_IF_ERROR(Tell(advance_, length, 0));
  }
  return Status::Ok();
}

Result<VerifySummary> Verifier::Run(VerifyLevel level) {
  if (level == VerifyLevel::kNone) return summary_;
  check_data_ = level == VerifyLevel::kFull;
  RETURN_IF_ERROR(CheckRoot());
  RETURN_IF_ERROR(CheckTree());
  if (check_data_) RETURN_IF_ERROR(CheckPieces());
  return summary_;
}

}  // namespace

Result<VerifySummary> Verify(const Image& image, VerifyLevel level, const Advance& advance) {
  return Verifier(image, advance).Run(level);
}

}  // namespace daxfs::format
