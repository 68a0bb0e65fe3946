// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// core reads what an image says: one hand-made image with one of everything.
#include "core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "testing/tiny_image.hpp"
#include "testing/walk.hpp"

namespace daxfs::core_testing {
namespace {

class CoreTest : public testing::Test {
 protected:
  void Open(const TinyImage& tiny) {
    bytes_ = tiny.Build();
    ASSERT_EQ(daxfs_image_open(&image_, bytes_.data(), bytes_.size(), &why_), 0) << why_;
    ASSERT_EQ(daxfs_inode_get(&image_, DAXFS_ROOT_INO, &root_, &why_), 0) << why_;
  }
  void SetUp() override { Open(TinyImage::OneOfEverything()); }

  daxfs_attr Lookup(const std::string& name) {
    daxfs_entry entry = {};
    daxfs_attr attr = {};
    EXPECT_EQ(daxfs_dir_find(&image_, &root_, name.data(), static_cast<uint32_t>(name.size()),
                             &entry, &why_),
              0);
    EXPECT_EQ(daxfs_inode_get(&image_, entry.ino, &attr, &why_), 0) << name << ": " << why_;
    EXPECT_EQ(daxfs_child_check(&root_, &entry, &attr, &why_), 0) << name << ": " << why_;
    return attr;
  }

  std::vector<uint8_t> bytes_;
  daxfs_image image_ = {};
  daxfs_attr root_ = {};
  const char* why_ = "";
};

TEST_F(CoreTest, AttributesComeBack) {
  const daxfs_attr file = Lookup("file");
  EXPECT_EQ(file.mode, static_cast<uint32_t>(S_IFREG | 04755));
  EXPECT_EQ(file.gid, 0x80000001u);
  EXPECT_EQ(file.mtime_sec, -5);
  EXPECT_EQ(file.mtime_nsec, 999999999u);
  EXPECT_EQ(Lookup("disk").rdev_minor, 0xfffffu);
  EXPECT_EQ(Lookup("gone").mode, static_cast<uint32_t>(S_IFCHR));
  EXPECT_EQ(Lookup("dir").parent, 1u);
}

TEST_F(CoreTest, LookupMisses) {
  daxfs_entry entry;
  for (const std::string name : {"nothing", "fil", "file1", ".", "..", ""})
    EXPECT_EQ(daxfs_dir_find(&image_, &root_, name.data(), static_cast<uint32_t>(name.size()),
                             &entry, &why_),
              -ENOENT)
        << name;
  const daxfs_attr file = Lookup("file");
  EXPECT_EQ(daxfs_dir_find(&image_, &file, "x", 1, &entry, &why_), -ENOTDIR);
  EXPECT_EQ(daxfs_dir_entry(&image_, &root_, root_.data_count, &entry, &why_), -ENOENT);
  daxfs_attr attr;
  EXPECT_EQ(daxfs_inode_get(&image_, 0, &attr, &why_), -ENOENT);
  EXPECT_EQ(daxfs_inode_get(&image_, 11, &attr, &why_), -ENOENT);
}

TEST_F(CoreTest, ExtentsAndHoles) {
  const daxfs_attr file = Lookup("file");
  struct {
    __u64 position, logical, length, offset;
    int hole;
  } const table[] = {
      {0, 0, 8192, 4096, 0},
      {8191, 0, 8192, 4096, 0},
      {8192, 8192, 8192, 0, 1},
      {16383, 8192, 8192, 0, 1},
      {16384, 16384, 4096, 12288, 0},
      {20479, 16384, 4096, 12288, 0},
      {20480, 20480, DAXFS_SIZE_MAX - 20480, 0, 1},
  };
  for (const auto& row : table) {
    daxfs_map map;
    ASSERT_EQ(daxfs_map_at(&image_, &file, row.position, &map, &why_), 0) << why_;
    EXPECT_EQ(map.logical, row.logical) << row.position;
    EXPECT_EQ(map.length, row.length) << row.position;
    EXPECT_EQ(map.offset, row.offset) << row.position;
    EXPECT_EQ(map.hole, row.hole) << row.position;
  }
  const daxfs_attr empty = Lookup("empty");
  daxfs_map map;
  ASSERT_EQ(daxfs_map_at(&image_, &empty, 0, &map, &why_), 0);
  EXPECT_EQ(map.hole, 1);
  EXPECT_EQ(daxfs_map_at(&image_, &root_, 0, &map, &why_), -EINVAL);
}

TEST_F(CoreTest, SymlinkAndXattrs) {
  const daxfs_attr link = Lookup("link");
  const char* target = nullptr;
  ASSERT_EQ(daxfs_symlink_target(&image_, &link, &target, &why_), 0);
  EXPECT_EQ(std::string(target, link.size), "../target");
  const daxfs_attr file = Lookup("file");
  daxfs_xattr_entry entry;
  ASSERT_EQ(daxfs_xattr_find(&image_, &file, "security.capability", 19, &entry, &why_), 0);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(entry.value), entry.value_length),
            std::string("\1\0\0\2\0", 5));
  ASSERT_EQ(daxfs_xattr_find(&image_, &file, "user.empty", 10, &entry, &why_), 0);
  EXPECT_EQ(entry.value_length, 0u);
  EXPECT_EQ(daxfs_xattr_find(&image_, &file, "user.empt", 9, &entry, &why_), -ENODATA);
  EXPECT_EQ(daxfs_xattr_find(&image_, &link, "user.empty", 10, &entry, &why_), -ENODATA);
}

TEST_F(CoreTest, DirectoryCheckedInSteps) {
  EXPECT_EQ(daxfs_dir_check(&image_, &root_, 0, ~0ULL, &why_), 0) << why_;
  for (__u64 first = 0; first < root_.data_count; first += 2)
    EXPECT_EQ(daxfs_dir_check(&image_, &root_, first, 2, &why_), 0) << why_;
  TinyImage unsorted = TinyImage::OneOfEverything();
  std::swap(unsorted.entries[3], unsorted.entries[4]);
  Open(unsorted);
  EXPECT_EQ(daxfs_dir_check(&image_, &root_, 0, 4, &why_), 0);
  EXPECT_EQ(daxfs_dir_check(&image_, &root_, 4, 4, &why_), -EUCLEAN);  // seen from the entry before
}

// Names with equal hashes: CRC-32C is linear, so collisions are cheap to make; look-up must not
// mind.
TEST_F(CoreTest, CollidingHashes) {
  TinyImage tiny;
  for (int i = 0; i < 300; ++i) {
    std::string name = "n" + std::to_string(i);
    tiny.entries.push_back({name, S_IFREG >> 12, 2, 0});
  }
  std::sort(tiny.entries.begin(), tiny.entries.end(),
            [](auto& a, auto& b) { return a.name < b.name; });
  daxfs_attr root = {};
  root.mode = S_IFDIR | 0755;
  root.nlink = 2;
  root.parent = 1;
  root.data_count = 300;
  daxfs_attr file = {};
  file.mode = S_IFREG;
  file.nlink = 300;
  tiny.inodes = {root, file};
  // A common hash is a lie here, so only names that hash to 0 would be found: the run is searched
  // by name.
  const std::string wanted = "n7";
  const uint32_t hash = daxfs_name_hash(wanted.data(), 2);
  for (auto& entry : tiny.entries) entry.hash = hash;
  Open(tiny);
  daxfs_entry entry;
  ASSERT_EQ(daxfs_dir_find(&image_, &root_, wanted.data(), 2, &entry, &why_), 0);
  EXPECT_EQ(std::string(entry.name, entry.name_length), wanted);
}

TEST_F(CoreTest, PiecesCoverTheDataArea) {
  TinyImage tiny = TinyImage::OneOfEverything();
  tiny.data.resize(3 * DAXFS_PIECE_SIZE);
  Open(tiny);
  __u64 next = DAXFS_BLOCK_SIZE, offset = 0, length = 0;
  const __u8* digest = nullptr;
  const __u64 count = daxfs_piece_count(&image_.info);
  EXPECT_EQ(count, 4u);
  for (__u64 piece = 0; piece < count; ++piece) {
    ASSERT_EQ(daxfs_piece_get(&image_, piece, &offset, &length, &digest, &why_), 0);
    EXPECT_EQ(offset, next);
    next += length;
  }
  EXPECT_EQ(next, DAXFS_BLOCK_SIZE + tiny.data.size());
  EXPECT_EQ(daxfs_piece_get(&image_, count, &offset, &length, &digest, &why_), -ENOENT);
}

TEST_F(CoreTest, SaysWhichTarItWasMadeOf) {
  const std::vector<uint8_t> nothing(DAXFS_DIGEST_SIZE);
  const std::vector<uint8_t> none(image_.info.source, image_.info.source + DAXFS_DIGEST_SIZE);
  EXPECT_EQ(none, nothing);
  EXPECT_EQ(image_.info.source_size, 0u);
  std::vector<uint8_t> digest(DAXFS_DIGEST_SIZE);
  for (size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<uint8_t>(i);
  for (const __u64 size : {__u64{0}, __u64{1}, __u64{DAXFS_SIZE_MAX}}) {  // a tar may have no bytes
    TinyImage tiny = TinyImage::OneOfEverything();
    tiny.spoil_info = [&](daxfs_info& info) {
      std::copy(digest.begin(), digest.end(), info.source);
      info.source_size = size;
    };
    Open(tiny);
    EXPECT_EQ(std::vector<uint8_t>(image_.info.source, image_.info.source + digest.size()), digest);
    EXPECT_EQ(image_.info.source_size, size);
    EXPECT_TRUE(std::equal(digest.begin(), digest.end(), bytes_.begin() + 0xa0));
    EXPECT_EQ(std::memcmp(bytes_.data() + 0xc0, &size, sizeof(size)), 0);
  }
}

TEST_F(CoreTest, OpensOnlyWhatFits) {
  daxfs_image image;
  EXPECT_EQ(daxfs_image_open(&image, bytes_.data(), bytes_.size() - 4096, &why_), -EFBIG);
  EXPECT_EQ(daxfs_image_open(&image, bytes_.data(), 4095, &why_), -EINVAL);
  EXPECT_EQ(daxfs_image_open(&image, bytes_.data(), bytes_.size() + 4096, &why_), 0) << why_;
}

// Superblock and metadata in memory of their own, and the data nowhere: core needs no more.
TEST_F(CoreTest, MetadataMayLieApartFromData) {
  const std::vector<uint8_t> super(bytes_.begin(), bytes_.begin() + DAXFS_BLOCK_SIZE);
  daxfs_image apart = {};
  ASSERT_EQ(daxfs_image_read_super(&apart, super.data(), bytes_.size(), &why_), 0) << why_;
  const auto begin = static_cast<std::ptrdiff_t>(apart.info.meta_offset);
  const std::vector<uint8_t> metadata(bytes_.begin() + begin, bytes_.end());
  apart.meta = metadata.data();
  EXPECT_EQ(daxfs_image_at(&apart, 0, 1), nullptr);
  image_ = apart;
  ASSERT_EQ(daxfs_inode_get(&image_, DAXFS_ROOT_INO, &root_, &why_), 0) << why_;

  daxfs_map map;
  const daxfs_attr file = Lookup("file");
  ASSERT_EQ(daxfs_map_at(&image_, &file, 16384, &map, &why_), 0) << why_;
  EXPECT_EQ(map.offset, 12288u);
  const char* target = nullptr;
  const daxfs_attr link = Lookup("link");
  ASSERT_EQ(daxfs_symlink_target(&image_, &link, &target, &why_), 0) << why_;
  EXPECT_TRUE(target >= reinterpret_cast<const char*>(metadata.data()) &&
              target < reinterpret_cast<const char*>(metadata.data() + metadata.size()));
  daxfs_xattr_entry entry;
  EXPECT_EQ(daxfs_xattr_find(&image_, &file, "user.empty", 10, &entry, &why_), 0) << why_;
  __u64 offset = 0, length = 0;
  const __u8* digest = nullptr;
  EXPECT_EQ(daxfs_piece_get(&image_, 0, &offset, &length, &digest, &why_), 0) << why_;
}

TEST_F(CoreTest, WholeImageWalks) {
  const WalkResult result = Walk(bytes_.data(), bytes_.size(), 1000, 1 << 20);
  EXPECT_EQ(result.error, 0) << result.why;
  EXPECT_EQ(result.violation, "");
  EXPECT_EQ(result.inodes, 10u);  // one of them by two names, the root not counted
}

TEST(Crc32c, PublishedVectors) {  // RFC 3720 B.4
  std::vector<uint8_t> bytes(32, 0);
  EXPECT_EQ(daxfs_crc32c(0, bytes.data(), 32), 0x8a9136aau);
  bytes.assign(32, 0xff);
  EXPECT_EQ(daxfs_crc32c(0, bytes.data(), 32), 0x62a8ab43u);
  EXPECT_EQ(daxfs_crc32c(0, "123456789", 9), 0xe3069283u);
  EXPECT_EQ(daxfs_crc32c(daxfs_crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
}

TEST(Uuid, IsVersion8OfRoot) {
  __u8 root[32], uuid[16];
  for (int i = 0; i < 32; ++i) root[i] = 0xff;
  daxfs_uuid_from_root(uuid, root);
  EXPECT_EQ(uuid[6], 0x8f);
  EXPECT_EQ(uuid[8], 0xbf);
  EXPECT_EQ(uuid[0], 0xff);
}

// Any byte of the metadata may be anything: no access outside (run under the sanitizers), no
// endless loop.
TEST_F(CoreTest, RandomBytesAreSurvived) {
  std::mt19937_64 random(20260401);  // fixed, so a failure repeats
  uint64_t walked = 0, refused = 0;
  for (int round = 0; round < 20000; ++round) {
    TinyImage tiny = TinyImage::OneOfEverything();
    tiny.spoil_bytes = [&](std::vector<uint8_t>& bytes) {
      const size_t metadata = 4096 + 16384;
      for (int i = 0; i < 3; ++i)
        bytes[metadata + random() % (bytes.size() - metadata)] = static_cast<uint8_t>(random());
    };
    const std::vector<uint8_t> bytes = tiny.Build();
    const WalkResult result = Walk(bytes.data(), bytes.size(), 1000, 1 << 20);
    ++(result.error == 0 ? walked : refused);
    ASSERT_TRUE(result.error == 0 || result.error == -EUCLEAN || result.error == -ENOENT)
        << result.error;
    ASSERT_EQ(result.violation, "");
  }
  EXPECT_GT(walked, 0u);
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace daxfs::core_testing
