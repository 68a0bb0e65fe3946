// SPDX-License-Identifier: Apache-2.0
#include "image_view.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

#include "encode.h"

namespace daxfs::hostile {
namespace {

#define DAXFS_FIELD(type, name) \
  Field { #name, offsetof(type, name), sizeof(type::name) }

constexpr Field kSuper[] = {DAXFS_FIELD(daxfs_super, magic),
                            DAXFS_FIELD(daxfs_super, crc32c),
                            DAXFS_FIELD(daxfs_super, version),
                            DAXFS_FIELD(daxfs_super, feature_compat),
                            DAXFS_FIELD(daxfs_super, feature_ro_compat),
                            DAXFS_FIELD(daxfs_super, feature_incompat),
                            DAXFS_FIELD(daxfs_super, image_size),
                            DAXFS_FIELD(daxfs_super, data_offset),
                            DAXFS_FIELD(daxfs_super, data_size),
                            DAXFS_FIELD(daxfs_super, meta_offset),
                            DAXFS_FIELD(daxfs_super, meta_size),
                            DAXFS_FIELD(daxfs_super, waste_size),
                            DAXFS_FIELD(daxfs_super, huge_min),
                            DAXFS_FIELD(daxfs_super, data_align_shift),
                            DAXFS_FIELD(daxfs_super, profile),
                            DAXFS_FIELD(daxfs_super, layout_flags),
                            DAXFS_FIELD(daxfs_super, section_count),
                            DAXFS_FIELD(daxfs_super, source_size)};
constexpr Field kSection[] = {DAXFS_FIELD(daxfs_section, offset), DAXFS_FIELD(daxfs_section, size),
                              DAXFS_FIELD(daxfs_section, count),
                              DAXFS_FIELD(daxfs_section, reserved)};
constexpr Field kInode[] = {
    DAXFS_FIELD(daxfs_inode, mode),          DAXFS_FIELD(daxfs_inode, flags),
    DAXFS_FIELD(daxfs_inode, uid),           DAXFS_FIELD(daxfs_inode, gid),
    DAXFS_FIELD(daxfs_inode, size),          DAXFS_FIELD(daxfs_inode, mtime_sec),
    DAXFS_FIELD(daxfs_inode, mtime_nsec),    DAXFS_FIELD(daxfs_inode, nlink),
    DAXFS_FIELD(daxfs_inode, rdev_major),    DAXFS_FIELD(daxfs_inode, rdev_minor),
    DAXFS_FIELD(daxfs_inode, data_start),    DAXFS_FIELD(daxfs_inode, data_count),
    DAXFS_FIELD(daxfs_inode, xattr_start),   DAXFS_FIELD(daxfs_inode, xattr_size),
    DAXFS_FIELD(daxfs_inode, xattr_count),   DAXFS_FIELD(daxfs_inode, parent),
    DAXFS_FIELD(daxfs_inode, allocated_size)};
constexpr Field kDirent[] = {DAXFS_FIELD(daxfs_dirent, hash),
                             DAXFS_FIELD(daxfs_dirent, name_length),
                             DAXFS_FIELD(daxfs_dirent, type), DAXFS_FIELD(daxfs_dirent, name),
                             DAXFS_FIELD(daxfs_dirent, ino)};
constexpr Field kExtent[] = {DAXFS_FIELD(daxfs_extent, logical), DAXFS_FIELD(daxfs_extent, blob),
                             DAXFS_FIELD(daxfs_extent, flags), DAXFS_FIELD(daxfs_extent, offset),
                             DAXFS_FIELD(daxfs_extent, length)};
constexpr Field kXattr[] = {DAXFS_FIELD(daxfs_xattr, name_length),
                            DAXFS_FIELD(daxfs_xattr, reserved),
                            DAXFS_FIELD(daxfs_xattr, value_length)};

#undef DAXFS_FIELD

template <typename Visit>
void ForEachNumber(Layout& layout, Visit visit) {
  visit(offsetof(daxfs_super, image_size), layout.image_size);
  visit(offsetof(daxfs_super, data_offset), layout.data_offset);
  visit(offsetof(daxfs_super, data_size), layout.data_size);
  visit(offsetof(daxfs_super, meta_offset), layout.meta_offset);
  visit(offsetof(daxfs_super, meta_size), layout.meta_size);
  for (size_t i = 0; i < DAXFS_SECTION_COUNT; ++i) {
    const size_t at = offsetof(daxfs_super, section) + i * sizeof(daxfs_section);
    visit(at + offsetof(daxfs_section, offset), layout.section[i].offset);
    visit(at + offsetof(daxfs_section, size), layout.section[i].size);
    visit(at + offsetof(daxfs_section, count), layout.section[i].count);
  }
}

int SectionOf(Record record) {
  switch (record) {
    case Record::kInode:
      return DAXFS_SECTION_INODES;
    case Record::kDirent:
      return DAXFS_SECTION_DIRENTS;
    case Record::kExtent:
      return DAXFS_SECTION_EXTENTS;
    default:
      return DAXFS_SECTION_XATTRS;
  }
}

std::vector<size_t> XattrHeaders(const Bytes& bytes) {
  const Range range = RangeOf(bytes, DAXFS_SECTION_XATTRS);
  std::vector<size_t> found;
  size_t at = range.offset;
  while (at + sizeof(daxfs_xattr) <= range.offset + range.size) {
    found.push_back(at);
    const uint64_t length = sizeof(daxfs_xattr) + Load(bytes, at, 2) + Load(bytes, at + 4, 4);
    at += (length + 7) / 8 * 8;
  }
  return found;
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }
  Sha256& Add(const void* bytes, size_t size) {
    EVP_DigestUpdate(context_.get(), bytes, size);
    return *this;
  }
  void Finish(uint8_t* digest) { EVP_DigestFinal_ex(context_.get(), digest, nullptr); }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

void SealDigests(Bytes& bytes) {
  const Range data = RangeOf(bytes, -1), table = RangeOf(bytes, DAXFS_SECTION_DIGESTS);
  size_t at = data.offset;
  for (size_t piece = 0; (piece + 1) * DAXFS_DIGEST_SIZE <= table.size; ++piece) {
    const size_t next =
        std::min((at / DAXFS_PIECE_SIZE + 1) * DAXFS_PIECE_SIZE, data.offset + data.size);
    if (at >= next) return;
    Sha256()
        .Add(bytes.data() + at, next - at)
        .Finish(bytes.data() + table.offset + piece * DAXFS_DIGEST_SIZE);
    at = next;
  }
}

void SealRoot(Bytes& bytes) {
  const Layout layout = LayoutOf(bytes);
  const size_t meta = std::min<uint64_t>(layout.meta_offset, bytes.size());
  const size_t size = std::min<uint64_t>(layout.meta_size, bytes.size() - meta);
  uint8_t block[DAXFS_BLOCK_SIZE], root[DAXFS_DIGEST_SIZE];
  daxfs_super_for_root(block, bytes.data());
  Sha256().Add(block, sizeof(block)).Add(bytes.data() + meta, size).Finish(root);
  std::memcpy(bytes.data() + offsetof(daxfs_super, root), root, sizeof(root));
  daxfs_uuid_from_root(bytes.data() + offsetof(daxfs_super, uuid), root);
}

}  // namespace

std::span<const Field> FieldsOf(Record record) {
  switch (record) {
    case Record::kSuper:
      return kSuper;
    case Record::kSection:
      return kSection;
    case Record::kInode:
      return kInode;
    case Record::kDirent:
      return kDirent;
    case Record::kExtent:
      return kExtent;
    case Record::kXattr:
      return kXattr;
  }
  return {};
}

size_t SizeOf(Record record) {
  switch (record) {
    case Record::kSuper:
      return sizeof(daxfs_super);
    case Record::kSection:
      return sizeof(daxfs_section);
    case Record::kInode:
      return sizeof(daxfs_inode);
    case Record::kDirent:
      return sizeof(daxfs_dirent);
    case Record::kExtent:
      return sizeof(daxfs_extent);
    case Record::kXattr:
      return sizeof(daxfs_xattr);
  }
  return 0;
}

uint64_t Load(const Bytes& bytes, size_t offset, size_t size) {
  uint64_t value = 0;
  if (size <= bytes.size() && offset <= bytes.size() - size)
    std::memcpy(&value, bytes.data() + offset, std::min(size, sizeof(value)));
  return value;
}

void Store(Bytes& bytes, size_t offset, size_t size, uint64_t value) {
  if (size <= bytes.size() && offset <= bytes.size() - size)
    std::memcpy(bytes.data() + offset, &value, std::min(size, sizeof(value)));
}

Layout LayoutOf(const Bytes& bytes) {
  Layout layout;
  ForEachNumber(layout, [&](size_t offset, uint64_t& number) { number = Load(bytes, offset, 8); });
  return layout;
}

void SetLayout(Bytes& bytes, const Layout& layout) {
  Layout copy = layout;
  ForEachNumber(copy, [&](size_t offset, uint64_t& number) { Store(bytes, offset, 8, number); });
}

Range RangeOf(const Bytes& bytes, int section) {
  const Layout layout = LayoutOf(bytes);
  const uint64_t offset = section < 0 ? layout.data_offset : layout.section[section].offset;
  const uint64_t size = section < 0 ? layout.data_size : layout.section[section].size;
  Range range;
  range.offset = std::min<uint64_t>(offset, bytes.size());
  range.size = std::min<uint64_t>(size, bytes.size() - range.offset);
  return range;
}

std::vector<size_t> RecordsOf(const Bytes& bytes, Record record) {
  std::vector<size_t> found;
  if (record == Record::kXattr) return XattrHeaders(bytes);
  if (record == Record::kSuper) return {0};
  Range range{offsetof(daxfs_super, section), DAXFS_SECTION_COUNT * sizeof(daxfs_section)};
  if (record != Record::kSection) range = RangeOf(bytes, SectionOf(record));
  for (size_t at = 0; at + SizeOf(record) <= range.size; at += SizeOf(record))
    found.push_back(range.offset + at);
  return found;
}

void Reseal(Bytes& bytes, Seal seal) {
  if (seal == Seal::kNone || bytes.size() < DAXFS_BLOCK_SIZE) return;
  if (seal == Seal::kRoot) {
    SealDigests(bytes);
    SealRoot(bytes);
  }
  std::memset(bytes.data(), 0, offsetof(daxfs_super, version));
  Store(bytes, offsetof(daxfs_super, crc32c), 4, daxfs_crc32c(0, bytes.data(), DAXFS_BLOCK_SIZE));
  daxfs_encode_magic(bytes.data());
}

}  // namespace daxfs::hostile
