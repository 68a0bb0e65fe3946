// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/mapping.hpp"

struct daxfs_image;
struct daxfs_attr;

namespace daxfs::format {

struct SectionInfo {
  std::string_view name;
  std::uint64_t offset = 0;  // bytes from the image's start
  std::uint64_t size_bytes = 0;
  std::uint64_t count = 0;
};

// The tar an image was made of, uncompressed.
struct SourceInfo {
  std::array<std::byte, 32> digest{};  // SHA-256 of all of it; of a layer: its diffID
  std::uint64_t size_bytes = 0;        // what lies behind its end marks included
  bool operator==(const SourceInfo&) const = default;
};

// What a superblock says. Sizes and offsets in bytes.
struct ImageInfo {
  std::uint32_t version = 0;
  std::array<std::byte, 16> uuid{};
  std::array<std::byte, 32> root{};
  std::string_view profile;  // "layer" or "archive"
  bool flattened = false;
  bool user_xattr = false;
  std::uint64_t image_bytes = 0;
  std::uint64_t data_offset = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t meta_offset = 0;
  std::uint64_t metadata_bytes = 0;
  std::uint64_t waste_bytes = 0;
  std::uint64_t huge_min_bytes = 0;
  std::uint64_t data_align_bytes = 0;
  std::optional<SourceInfo> source;  // nothing: of no tar, or of several
  std::uint64_t inodes = 0;
  std::vector<SectionInfo> sections;
};

// One inode. Which fields mean something depends on the type in `mode`.
struct Inode {
  std::uint64_t number = 0;
  std::uint32_t mode = 0;  // as in stat(2)
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t link_count = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t allocated_bytes = 0;
  std::int64_t mtime_seconds = 0;
  std::uint32_t mtime_nanoseconds = 0;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  bool huge = false;
  bool implicit = false;
  std::uint64_t parent = 0;   // directories
  std::uint64_t entries = 0;  // directories
};

struct DirectoryEntry {
  std::string_view name;   // into the image
  std::uint32_t type = 0;  // as mode >> 12
  std::uint64_t number = 0;
};

struct XattrEntry {
  std::string_view name;   // into the image, prefix included
  std::string_view value;  // into the image, bytes
};

// Consecutive bytes of a file: either `bytes` (into the image) or, where that is empty, a hole.
struct DataRun {
  std::uint64_t length = 0;
  std::uint64_t image_offset = 0;  // not for a hole
  std::span<const std::byte> bytes;
  bool hole = false;
};

// An image in memory, read without trusting it: whatever its bytes say, no access leaves it and
// nothing loops for ever. Views stay valid as long as the Image. Thread safe once open. Errors of
// all: kDataLoss when the bytes are wrong, with the reason.
class Image {
 public:
  // Errors: kInvalidArgument if it is no DAXFS image; kUnimplemented for a newer format; kDataLoss;
  // by errno.
  static Result<Image> Open(const std::string& path);
  // The same over bytes that outlive the Image and start at a page.
  static Result<Image> FromBytes(std::span<const std::byte> bytes);

  Image(Image&&) noexcept;
  Image& operator=(Image&&) = delete;
  ~Image();

  ImageInfo Info() const;

  Result<Inode> Root() const { return InodeAt(1); }
  // Errors: kNotFound if there is no such number.
  Result<Inode> InodeAt(std::uint64_t number) const;
  // Entry `index`, in readdir order. Errors: kNotFound past the end; kInvalidArgument if no
  // directory.
  Result<DirectoryEntry> Entry(const Inode& directory, std::uint64_t index) const;
  // The inode an entry of `directory` names, checked to fit it.
  Result<Inode> Child(const Inode& directory, const DirectoryEntry& entry) const;
  // By name. Errors: kNotFound; kInvalidArgument if no directory.
  Result<Inode> Find(const Inode& directory, std::string_view name) const;
  // By path from the root; symbolic links are not followed, ".." is refused. Errors: as Find.
  Result<Inode> Lookup(std::string_view path) const;

  // What a kernel checks once before it uses an inode: order, names and hashes of a directory's
  // entries; order, bounds and sum of a file's extents.
  Status Check(const Inode& inode) const;

  // Errors: kInvalidArgument if it is no symbolic link.
  Result<std::string_view> SymlinkTarget(const Inode& inode) const;
  // What lies at byte `position` < size_bytes, up to the end of the run or the file.
  // Errors: kInvalidArgument if it is no file.
  Result<DataRun> RunAt(const Inode& inode, std::uint64_t position) const;
  Result<std::vector<XattrEntry>> Xattrs(const Inode& inode) const;

  // For the rest of this room.
  const daxfs_image& core() const { return *core_; }

 private:
  Image();
  Status Attach(std::span<const std::byte> bytes);
  Status GetAttributes(std::uint64_t number, daxfs_attr* attr) const;

  std::unique_ptr<os::Mapping> mapping_;  // null for FromBytes
  std::unique_ptr<daxfs_image> core_;
};

}  // namespace daxfs::format
