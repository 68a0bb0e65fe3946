// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "mutator.hpp"
#include "testing/tiny_image.hpp"

namespace daxfs::hostile {
namespace {

using core_testing::TinyImage;

constexpr size_t kHandMade = 7;
constexpr uint32_t kFileType = S_IFREG >> 12, kDirectoryType = S_IFDIR >> 12;

daxfs_attr Inode(uint32_t mode) {
  daxfs_attr attr = {};
  attr.mode = mode;
  attr.nlink = 1;
  attr.mtime_sec = 1700000000;
  return attr;
}

daxfs_attr Directory(uint64_t parent, uint64_t start, uint64_t count) {
  daxfs_attr attr = Inode(S_IFDIR | 0755);
  attr.nlink = 2;
  attr.parent = parent;
  attr.data_start = start;
  attr.data_count = count;
  return attr;
}

void SortEntries(TinyImage& image) {
  std::sort(image.entries.begin(), image.entries.end(), [](const auto& a, const auto& b) {
    return daxfs_name_order(a.hash, a.name.data(), static_cast<uint32_t>(a.name.size()), b.hash,
                            b.name.data(), static_cast<uint32_t>(b.name.size())) < 0;
  });
}

// Root with one file per element of `files`, named by number.
TinyImage RootOf(const std::vector<daxfs_attr>& files) {
  TinyImage image;
  image.inodes.push_back(Directory(1, 0, files.size()));
  for (const daxfs_attr& file : files) {
    image.inodes.push_back(file);
    image.entries.push_back(TinyImage::Named("file" + std::to_string(image.inodes.size()),
                                             file.mode >> 12, image.inodes.size()));
  }
  SortEntries(image);
  image.data.resize(4 * DAXFS_BLOCK_SIZE, 0x5a);
  return image;
}

// A file of many extents with holes between, and one that shares all of them.
TinyImage ManyExtents() {
  constexpr uint64_t kCount = 40;
  daxfs_attr file = Inode(S_IFREG | 0644);
  file.size = 2 * kCount * DAXFS_BLOCK_SIZE + 1;
  file.data_count = kCount;
  file.allocated_size = kCount * DAXFS_BLOCK_SIZE;
  TinyImage image = RootOf({file, file});
  for (uint64_t i = 0; i < kCount; ++i)
    image.extents.push_back(
        {(2 * i + 1) * DAXFS_BLOCK_SIZE, (1 + i % 4) * DAXFS_BLOCK_SIZE, DAXFS_BLOCK_SIZE});
  return image;
}

// HUGE without 2 MiB of data: the file begins with a hole, so that its extent is congruent.
TinyImage Huge() {
  daxfs_attr file = Inode(S_IFREG | 0644);
  file.size = 3 * DAXFS_BLOCK_SIZE;
  file.flags = DAXFS_INODE_HUGE;
  file.data_count = 1;
  file.allocated_size = 2 * DAXFS_BLOCK_SIZE;
  daxfs_attr far = file;
  far.size = uint64_t{DAXFS_CHUNK_SIZE} * 3 + 3 * DAXFS_BLOCK_SIZE;
  far.data_start = 1;
  TinyImage image = RootOf({file, far});
  image.extents = {
      {DAXFS_BLOCK_SIZE, DAXFS_BLOCK_SIZE, 2 * DAXFS_BLOCK_SIZE},
      {uint64_t{DAXFS_CHUNK_SIZE} * 3 + DAXFS_BLOCK_SIZE, DAXFS_BLOCK_SIZE, 2 * DAXFS_BLOCK_SIZE}};
  return image;
}

// Many names of few files, of every length.
TinyImage Crowd() {
  TinyImage image;
  image.inodes = {Directory(1, 0, 255), Inode(S_IFREG | 0600), Inode(S_IFREG | 0400)};
  for (size_t length = 1; length <= 255; ++length)
    image.entries.push_back(
        TinyImage::Named(std::string(length - 1, 'n') + 'x', kFileType, 2 + length % 2));
  SortEntries(image);
  return image;
}

// Directories in directories, thirty deep.
TinyImage Deep() {
  TinyImage image;
  for (uint64_t ino = 1; ino <= 30; ++ino) {
    image.inodes.push_back(Directory(ino == 1 ? 1 : ino - 1, ino - 1, ino < 30 ? 1 : 0));
    if (ino < 30) image.entries.push_back(TinyImage::Named("d", kDirectoryType, ino + 1));
  }
  return image;
}

// Symbolic links of every length up to the longest, their targets one behind the other.
TinyImage Symlinks() {
  std::vector<daxfs_attr> links;
  std::string targets;
  for (const uint64_t length : {1U, 2U, 7U, 8U, 63U, 64U, 255U, 4094U, 4095U}) {
    daxfs_attr link = Inode(S_IFLNK | 0777);
    link.size = link.data_count = length;
    link.data_start = targets.size();
    targets += std::string(length, 't');
    links.push_back(link);
  }
  TinyImage image = RootOf(links);
  image.names = targets;
  return image;
}

// Long lists of extended attributes, one of them shared, the largest value among them.
TinyImage ManyXattrs() {
  TinyImage image;
  std::vector<daxfs_attr> files;
  for (const uint32_t count : {1U, 2U, 50U}) {
    daxfs_attr file = Inode(S_IFREG | 0644);
    file.xattr_start = image.xattrs.size();
    file.xattr_count = count;
    for (uint32_t i = 0; i < count; ++i) {
      const std::string name = "user.name" + std::to_string(100 + i);
      const std::string value(i == 0 && count == 1 ? DAXFS_XATTR_VALUE_MAX / 16 : i * 3, '\xee');
      const auto name_length = static_cast<uint32_t>(name.size());
      const auto value_length = static_cast<uint32_t>(value.size());
      Bytes record(daxfs_xattr_bytes(name_length, value_length));
      daxfs_encode_xattr(record.data(), name.data(), name_length, value.data(), value_length);
      image.xattrs.insert(image.xattrs.end(), record.begin(), record.end());
    }
    file.xattr_size = static_cast<uint32_t>(image.xattrs.size() - file.xattr_start);
    files.push_back(file);
    files.push_back(file);
  }
  TinyImage made = RootOf(files);
  made.xattrs = image.xattrs;
  return made;
}

}  // namespace

std::vector<SeedImage> HandMade() {
  return {{"everything", TinyImage::OneOfEverything().Build()},
          {"extents", ManyExtents().Build()},
          {"huge", Huge().Build()},
          {"crowd", Crowd().Build()},
          {"deep", Deep().Build()},
          {"symlinks", Symlinks().Build()},
          {"xattrs", ManyXattrs().Build()}};
}

std::vector<SeedImage> Folder(const std::string& path) {
  std::vector<SeedImage> found;
  for (const auto& file : std::filesystem::directory_iterator(path)) {
    if (file.path().extension() != ".daxfs") continue;
    std::ifstream in(file.path(), std::ios::binary);
    found.push_back(
        {file.path().stem().string(), Bytes(std::istreambuf_iterator<char>(in), {}), 0});
  }
  std::sort(found.begin(), found.end(),
            [](const SeedImage& a, const SeedImage& b) { return a.name < b.name; });
  for (SeedImage& image : found) image.share = kHandMade * 1000 / found.size();
  return found;
}

}  // namespace daxfs::hostile
