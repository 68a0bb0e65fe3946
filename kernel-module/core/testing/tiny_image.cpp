// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "tiny_image.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace daxfs::core_testing {
namespace {

uint64_t AlignUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

daxfs_attr Attr(uint32_t mode, uint64_t size) {
  daxfs_attr attr = {};
  attr.mode = mode;
  attr.nlink = 1;
  attr.uid = 1000;
  attr.gid = 0x80000001;
  attr.mtime_sec = -5;
  attr.mtime_nsec = 999999999;
  attr.size = size;
  return attr;
}

daxfs_attr Directory(uint64_t start, uint64_t count, uint64_t parent, uint32_t nlink) {
  daxfs_attr attr = Attr(S_IFDIR | 0755, 0);
  attr.data_start = start;
  attr.data_count = count;
  attr.parent = parent;
  attr.nlink = nlink;
  return attr;
}

void AppendXattr(std::vector<uint8_t>& list, const std::string& name, const std::string& value) {
  const auto name_length = static_cast<uint32_t>(name.size());
  const auto value_length = static_cast<uint32_t>(value.size());
  std::vector<uint8_t> record(daxfs_xattr_bytes(name_length, value_length));
  daxfs_encode_xattr(record.data(), name.data(), name_length, value.data(), value_length);
  list.insert(list.end(), record.begin(), record.end());
}

void SortRun(TinyImage& image, size_t first, size_t count) {
  const auto begin = image.entries.begin() + static_cast<std::ptrdiff_t>(first);
  std::sort(begin, begin + static_cast<std::ptrdiff_t>(count), [](const auto& a, const auto& b) {
    return daxfs_name_order(a.hash, a.name.data(), static_cast<uint32_t>(a.name.size()), b.hash,
                            b.name.data(), static_cast<uint32_t>(b.name.size())) < 0;
  });
}

// The sections as bytes, in order.
struct Sections {
  std::vector<uint8_t> bytes[DAXFS_SECTION_COUNT];
  uint64_t count[DAXFS_SECTION_COUNT] = {};

  template <typename Encode>
  void Records(int section, size_t record_size, size_t records, Encode encode) {
    bytes[section].resize(record_size * records);
    count[section] = records;
    for (size_t i = 0; i < records; ++i) encode(bytes[section].data() + i * record_size, i);
  }
};

Sections Encode(const TinyImage& image, uint64_t pieces) {
  Sections s;
  s.Records(DAXFS_SECTION_INODES, sizeof(daxfs_inode), image.inodes.size(),
            [&](uint8_t* record, size_t i) { daxfs_encode_inode(record, &image.inodes[i]); });
  std::string names = image.names;
  s.Records(DAXFS_SECTION_DIRENTS, sizeof(daxfs_dirent), image.entries.size(),
            [&](uint8_t* record, size_t i) {
              const TinyImage::Entry& entry = image.entries[i];
              daxfs_encode_dirent(record, entry.hash, static_cast<uint32_t>(entry.name.size()),
                                  entry.type, names.size(), entry.ino);
              names += entry.name;
            });
  s.Records(DAXFS_SECTION_EXTENTS, sizeof(daxfs_extent), image.extents.size(),
            [&](uint8_t* record, size_t i) {
              daxfs_encode_extent(record, image.extents[i].logical, image.extents[i].offset,
                                  image.extents[i].length);
            });
  s.bytes[DAXFS_SECTION_NAMES].assign(names.begin(), names.end());
  s.count[DAXFS_SECTION_NAMES] = image.entries.size() + 1;
  s.bytes[DAXFS_SECTION_XATTRS] = image.xattrs;
  s.count[DAXFS_SECTION_XATTRS] = 1;
  s.Records(DAXFS_SECTION_DIGESTS, DAXFS_DIGEST_SIZE, pieces, [](uint8_t*, size_t) {});
  return s;
}

void Seal(std::vector<uint8_t>& bytes) {
  std::memset(bytes.data(), 0, 12);
  const uint32_t crc = daxfs_crc32c(0, bytes.data(), DAXFS_BLOCK_SIZE);
  std::memcpy(bytes.data() + 8, &crc, sizeof(crc));
  daxfs_encode_magic(bytes.data());
}

}  // namespace

TinyImage::Entry TinyImage::Named(const std::string& name, uint32_t type, uint64_t ino) {
  return {name, type, ino, daxfs_name_hash(name.data(), static_cast<uint32_t>(name.size()))};
}

TinyImage TinyImage::OneOfEverything() {
  TinyImage image;
  image.names = "../target";
  AppendXattr(image.xattrs, "security.capability", std::string("\1\0\0\2\0", 5));
  AppendXattr(image.xattrs, "user.empty", "");

  image.inodes.push_back(Directory(0, 9, 1, 3));   // 1: the root
  daxfs_attr file = Attr(S_IFREG | 04755, 20000);  // 2: 8192 bytes, a hole of 8192, the rest
  file.data_count = 2;
  file.allocated_size = 8192 + 4096;
  file.xattr_size = static_cast<uint32_t>(image.xattrs.size());
  file.xattr_count = 2;
  image.inodes.push_back(file);
  image.inodes.push_back(Attr(S_IFREG | 0644, 0));                // 3: empty
  daxfs_attr symlink = Attr(S_IFLNK | 0777, image.names.size());  // 4
  symlink.data_count = symlink.size;
  image.inodes.push_back(symlink);
  image.inodes.push_back(Directory(9, 1, 1, 2));  // 5
  daxfs_attr linked = Attr(S_IFREG | 0600, 5);    // 6: two names
  linked.nlink = 2;
  linked.data_start = 2;
  linked.data_count = 1;
  linked.allocated_size = 4096;
  image.inodes.push_back(linked);
  daxfs_attr device = Attr(S_IFBLK | 0660, 0);  // 7
  device.rdev_major = 8;
  device.rdev_minor = 0xfffff;
  image.inodes.push_back(device);
  image.inodes.push_back(Attr(S_IFCHR, 0));          // 8: a whiteout
  image.inodes.push_back(Attr(S_IFIFO | 0600, 0));   // 9
  image.inodes.push_back(Attr(S_IFSOCK | 0600, 0));  // 10

  image.entries = {Named("file", S_IFREG >> 12, 2),     Named("empty", S_IFREG >> 12, 3),
                   Named("link", S_IFLNK >> 12, 4),     Named("dir", S_IFDIR >> 12, 5),
                   Named("name1", S_IFREG >> 12, 6),    Named("disk", S_IFBLK >> 12, 7),
                   Named("gone", S_IFCHR >> 12, 8),     Named("pipe", S_IFIFO >> 12, 9),
                   Named("socket", S_IFSOCK >> 12, 10), Named("name2", S_IFREG >> 12, 6)};
  SortRun(image, 0, 9);
  image.extents = {{0, 4096, 8192}, {16384, 12288, 4096}, {0, 16384, 4096}};
  image.data.resize(16384);
  for (size_t i = 0; i < image.data.size(); ++i)
    image.data[i] = static_cast<uint8_t>(i * 7 + (i >> 8));
  return image;
}

std::vector<uint8_t> TinyImage::Build() const {
  daxfs_info info = {};
  info.version = DAXFS_VERSION;
  info.data_offset = DAXFS_BLOCK_SIZE;
  info.data_size = data.size();
  info.meta_offset = info.data_offset + info.data_size;
  info.data_align_shift = DAXFS_BLOCK_SHIFT;
  info.profile = DAXFS_PROFILE_ARCHIVE;
  const Sections sections = Encode(*this, daxfs_piece_count(&info));
  uint64_t next = info.meta_offset;
  for (int i = 0; i < DAXFS_SECTION_COUNT; ++i) {
    if (i == DAXFS_SECTION_SIGNATURE) info.meta_size = next - info.meta_offset;
    info.section[i] = {next, sections.bytes[i].size(), sections.count[i]};
    next = AlignUp(next + sections.bytes[i].size(), DAXFS_SECTION_ALIGN);
  }
  info.image_size = AlignUp(next, DAXFS_BLOCK_SIZE);

  std::vector<uint8_t> bytes(info.image_size);
  std::copy(data.begin(), data.end(), bytes.begin() + DAXFS_BLOCK_SIZE);
  for (int i = 0; i < DAXFS_SECTION_COUNT; ++i)
    std::copy(sections.bytes[i].begin(), sections.bytes[i].end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(info.section[i].offset));
  if (spoil_info) spoil_info(info);
  daxfs_encode_super(bytes.data(), &info);
  if (spoil_bytes) spoil_bytes(bytes);
  Seal(bytes);
  if (spoil_sealed) spoil_sealed(bytes);
  return bytes;
}

}  // namespace daxfs::core_testing
