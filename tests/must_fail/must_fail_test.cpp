// SPDX-License-Identifier: Apache-2.0
// Images that must be refused, each with what is wrong as its file's name. The files are kept so
// that every later reader refuses them too; this table says how each is made and what the refusal
// has to say. DAXFS_UPDATE_GOLDEN=1 writes the files anew.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "testing/tiny_image.hpp"
#include "testing/walk.hpp"

namespace daxfs::core_testing {
namespace {

namespace fs = std::filesystem;

struct MustFail {
  const char* name;
  std::function<void(TinyImage&)> spoil;
  int error;
  const char* why;
};

std::function<void(TinyImage&)> Info(std::function<void(daxfs_info&)> spoil) {
  return [spoil](TinyImage& image) { image.spoil_info = spoil; };
}

std::function<void(TinyImage&)> Inode(size_t number, std::function<void(daxfs_attr&)> spoil) {
  return [=](TinyImage& image) { spoil(image.inodes[number - 1]); };
}

std::function<void(TinyImage&)> Byte(size_t offset, uint8_t value) {
  return [=](TinyImage& image) {
    image.spoil_bytes = [=](std::vector<uint8_t>& bytes) { bytes[offset] = value; };
  };
}

std::function<void(TinyImage&)> SealedByte(size_t offset, uint8_t value) {
  return [=](TinyImage& image) {
    image.spoil_sealed = [=](std::vector<uint8_t>& bytes) { bytes[offset] = value; };
  };
}

// The first entry of the root with that name.
TinyImage::Entry& EntryOf(TinyImage& image, const std::string& name) {
  for (TinyImage::Entry& entry : image.entries)
    if (entry.name == name) return entry;
  ADD_FAILURE() << "no entry " << name;
  return image.entries[0];
}

constexpr size_t kFirstInode = 4096 + 16384;  // where OneOfEverything() has its metadata area

const std::vector<MustFail>& Table() {
  static const std::vector<MustFail> table = {
      {"super-no-magic", SealedByte(0, 0), -EINVAL, "no DAXFS magic"},
      {"super-bad-checksum", SealedByte(0x80, 1), -EUCLEAN, "superblock checksum"},
      {"super-newer-version", Info([](auto& i) { i.version = 2; }), -EOPNOTSUPP, "version"},
      {"super-unknown-incompat", Info([](auto& i) { i.feature_incompat = 1ULL << 40; }),
       -EOPNOTSUPP, "feature"},
      {"super-reserved-set", Byte(0xc8, 1), -EUCLEAN, "reserved bytes of the superblock"},
      {"super-unused-section-set", Byte(0x100 + 9 * 32, 1), -EUCLEAN, "unused section"},
      {"super-longer-than-file", Info([](auto& i) {
         i.image_size += 4096;
         i.data_size += 4096;
         i.meta_offset += 4096;
         for (auto& section : i.section) section.offset += 4096;
       }),
       -EFBIG, "larger than the memory"},
      {"super-size-overflows", Info([](auto& i) { i.image_size = ~0ULL << 12; }), -EUCLEAN,
       "image size"},
      {"super-data-outside", Info([](auto& i) { i.data_size = i.image_size; }), -EUCLEAN,
       "data area outside"},
      {"super-data-misplaced", Info([](auto& i) { i.data_offset = 8192; }), -EUCLEAN,
       "data area misplaced"},
      {"super-meta-misplaced", Info([](auto& i) { i.meta_offset += 64; }), -EUCLEAN,
       "metadata area misplaced"},
      {"super-meta-outside", Info([](auto& i) { i.meta_size = ~0ULL; }), -EUCLEAN,
       "metadata area outside"},
      {"super-more-waste-than-data", Info([](auto& i) { i.waste_size = i.data_size + 1; }),
       -EUCLEAN, "waste"},
      {"super-bad-alignment", Info([](auto& i) { i.data_align_shift = 31; }), -EUCLEAN,
       "data alignment"},
      {"super-unknown-profile", Info([](auto& i) { i.profile = 7; }), -EUCLEAN, "unknown profile"},
      {"super-unknown-layout-flag", Info([](auto& i) { i.layout_flags = 8; }), -EUCLEAN,
       "layout flags"},
      {"super-source-without-digest", Info([](auto& i) { i.source_size = 1; }), -EUCLEAN,
       "without a digest"},
      {"super-source-size-overflows", Info([](auto& i) {
         i.source[31] = 1;
         i.source_size = 1ULL << 63;
       }),
       -EUCLEAN, "size of the source"},
      {"section-overlaps", Info([](auto& i) { i.section[1].offset -= 64; }), -EUCLEAN,
       "section misplaced"},
      {"section-outside", Info([](auto& i) { i.section[3].size = ~0ULL - 64; }), -EUCLEAN,
       "section outside"},
      {"section-count-overflows", Info([](auto& i) { i.section[0].count = 1ULL << 57; }), -EUCLEAN,
       "count of records"},
      {"section-no-inodes", Info([](auto& i) {
         i.section[0].count = 0;
         i.section[0].size = 0;
       }),
       -EUCLEAN, "section misplaced"},
      {"section-digests-missing", Info([](auto& i) {
         i.section[6].size = 0;
         i.section[6].count = 0;
         i.meta_size -= 64;
         i.section[7].offset -= 64;
       }),
       -EUCLEAN, "digest table"},
      {"inode-unknown-type", Inode(2, [](auto& a) { a.mode = 0170644; }), -EUCLEAN,
       "entry and inode differ|unknown file type"},
      {"inode-mode-bits", Inode(2, [](auto& a) { a.mode |= 1U << 20; }), -EUCLEAN,
       "mode has unknown bits"},
      {"inode-unknown-flag", Inode(2, [](auto& a) { a.flags = 1U << 31; }), -EUCLEAN,
       "unknown flags"},
      {"inode-size-negative", Inode(2, [](auto& a) { a.size = ~0ULL; }), -EUCLEAN,
       "size out of range"},
      {"inode-nanoseconds", Inode(2, [](auto& a) { a.mtime_nsec = 1000000000; }), -EUCLEAN,
       "time out of range"},
      {"inode-no-links", Inode(2, [](auto& a) { a.nlink = 0; }), -EUCLEAN, "without a name"},
      {"inode-reserved-set", Byte(kFirstInode + 128 + 0x7f, 1), -EUCLEAN,
       "reserved bytes of an inode"},
      {"inode-xattrs-outside", Inode(2, [](auto& a) { a.xattr_start = 1ULL << 62; }), -EUCLEAN,
       "xattrs outside"},
      {"inode-xattrs-unaligned", Inode(2, [](auto& a) { a.xattr_start = 4; }), -EUCLEAN,
       "xattr reference"},
      {"inode-huge-directory", Inode(5, [](auto& a) { a.flags = DAXFS_INODE_HUGE; }), -EUCLEAN,
       "HUGE"},
      {"inode-implicit-file", Inode(2, [](auto& a) { a.flags = DAXFS_INODE_IMPLICIT; }), -EUCLEAN,
       "IMPLICIT"},
      {"inode-device-on-file", Inode(2, [](auto& a) { a.rdev_major = 1; }), -EUCLEAN, "no device"},
      {"inode-device-number", Inode(7, [](auto& a) { a.rdev_major = 0x1000; }), -EUCLEAN,
       "device number out of range"},
      {"inode-fifo-with-data", Inode(9, [](auto& a) { a.size = 1; }), -EUCLEAN,
       "special file with data"},
      {"root-no-directory",
       Inode(1,
             [](auto& a) {
               a = {};
               a.mode = 0100644;
               a.nlink = 1;
             }),
       -EUCLEAN, "root is no directory"},
      {"root-has-parent", Inode(1, [](auto& a) { a.parent = 5; }), -EUCLEAN, "own parent"},
      {"directory-own-parent", Inode(5, [](auto& a) { a.parent = 5; }), -EUCLEAN, "own parent"},
      {"directory-other-parent",
       [](TinyImage& i) {
         i.inodes[5] = i.inodes[4];
         i.inodes[5].data_count = 0;
         i.inodes[4].parent = 6;
       },
       -EUCLEAN, "outside its parent|differ in type"},
      {"directory-entries-outside", Inode(1, [](auto& a) { a.data_count = 1ULL << 60; }), -EUCLEAN,
       "outside the entries"},
      {"directory-with-size", Inode(5, [](auto& a) { a.size = 4096; }), -EUCLEAN,
       "directory with a size"},
      {"directory-unsorted", [](TinyImage& i) { std::swap(i.entries[0], i.entries[1]); }, -EUCLEAN,
       "out of order"},
      {"directory-same-name-twice", [](TinyImage& i) { i.entries[1] = i.entries[0]; }, -EUCLEAN,
       "out of order"},
      {"directory-holds-root", [](TinyImage& i) { EntryOf(i, "dir").ino = 1; }, -EUCLEAN,
       "root as a child"},
      {"entry-wrong-hash", [](TinyImage& i) { i.entries[9].hash ^= 1; }, -EUCLEAN, "hash is not"},
      {"entry-slash-in-name", [](TinyImage& i) { i.entries[9] = TinyImage::Named("a/b", 8, 6); },
       -EUCLEAN, "forbidden name"},
      {"entry-nul-in-name",
       [](TinyImage& i) { i.entries[9] = TinyImage::Named(std::string("a\0b", 3), 8, 6); },
       -EUCLEAN, "forbidden name"},
      {"entry-dot-dot", [](TinyImage& i) { i.entries[9] = TinyImage::Named("..", 4, 5); }, -EUCLEAN,
       "forbidden name"},
      {"entry-empty-name", [](TinyImage& i) { i.entries[9] = TinyImage::Named("", 8, 6); },
       -EUCLEAN, "name length"},
      {"entry-long-name",
       [](TinyImage& i) { i.entries[9] = TinyImage::Named(std::string(256, 'n'), 8, 6); }, -EUCLEAN,
       "name length"},
      {"entry-no-inode", [](TinyImage& i) { i.entries[9].ino = 11; }, -EUCLEAN, "names no inode"},
      {"entry-other-type", [](TinyImage& i) { i.entries[9].type = 6; }, -EUCLEAN, "differ in type"},
      {"entry-unknown-type", [](TinyImage& i) { i.entries[9].type = 3; }, -EUCLEAN, "unknown type"},
      {"symlink-empty",
       Inode(4,
             [](auto& a) {
               a.size = 0;
               a.data_count = 0;
             }),
       -EUCLEAN, "target length"},
      {"symlink-outside", Inode(4, [](auto& a) { a.data_start = 1ULL << 63; }), -EUCLEAN,
       "target outside"},
      {"symlink-with-nul", [](TinyImage& i) { i.names[3] = 0; }, -EUCLEAN, "NUL in a symlink"},
      {"extent-outside-section", Inode(2, [](auto& a) { a.data_start = 2; }), -EUCLEAN,
       "outside the extents"},
      {"extent-outside-data", [](TinyImage& i) { i.extents[1].offset = 4096 + 16384; }, -EUCLEAN,
       "outside the data area"},
      {"extent-in-superblock", [](TinyImage& i) { i.extents[1].offset = 0; }, -EUCLEAN,
       "outside the data area"},
      {"extent-offset-overflows", [](TinyImage& i) { i.extents[1].offset = ~0ULL << 12; }, -EUCLEAN,
       "outside the data area"},
      {"extent-length-overflows", [](TinyImage& i) { i.extents[1].length = ~0ULL << 12; }, -EUCLEAN,
       "outside the data area"},
      {"extent-unaligned", [](TinyImage& i) { i.extents[1].offset += 512; }, -EUCLEAN,
       "not aligned"},
      {"extent-empty", [](TinyImage& i) { i.extents[1].length = 0; }, -EUCLEAN, "not aligned"},
      {"extent-past-end", [](TinyImage& i) { i.extents[1].logical = 20480; }, -EUCLEAN,
       "past the end"},
      {"extents-overlap", [](TinyImage& i) { i.extents[1].logical = 4096; }, -EUCLEAN,
       "out of order"},
      {"extent-sum", Inode(2, [](auto& a) { a.allocated_size += 4096; }), -EUCLEAN,
       "sum of the extents"},
      {"extent-huge-not-congruent", Inode(2, [](auto& a) { a.flags = DAXFS_INODE_HUGE; }), -EUCLEAN,
       "not congruent"},
      {"xattr-name-too-long", [](TinyImage& i) { i.xattrs[1] = 1; }, -EUCLEAN, "xattr lengths"},
      {"xattr-value-too-long", [](TinyImage& i) { i.xattrs[6] = 2; }, -EUCLEAN, "xattr lengths"},
      {"xattr-past-list", [](TinyImage& i) { i.xattrs[5] = 1; }, -EUCLEAN,
       "past the end of its list"},
      {"xattr-list-too-long", Inode(2, [](auto& a) { a.xattr_size = 0xfffffff8; }), -EUCLEAN,
       "xattr list too long"},
      {"xattr-list-cut", Inode(2, [](auto& a) { a.xattr_size = 4; }), -EUCLEAN, "cut short"},
      {"xattr-nul-in-name", [](TinyImage& i) { i.xattrs[10] = 0; }, -EUCLEAN, "NUL in an xattr"},
  };
  return table;
}

std::vector<uint8_t> ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

fs::path PathOf(const MustFail& item) {
  return fs::path(DAXFS_MUST_FAIL_DIR) / (std::string(item.name) + ".daxfs");
}

std::vector<uint8_t> Spoiled(const MustFail& item) {
  TinyImage image = TinyImage::OneOfEverything();
  item.spoil(image);
  return image.Build();
}

class MustFailTest : public testing::TestWithParam<size_t> {};

TEST_P(MustFailTest, IsRefusedWithItsReason) {
  const MustFail& item = Table()[GetParam()];
  const std::vector<uint8_t> made = Spoiled(item);
  if (std::getenv("DAXFS_UPDATE_GOLDEN") != nullptr)
    std::ofstream(PathOf(item), std::ios::binary)
        .write(reinterpret_cast<const char*>(made.data()),
               static_cast<std::streamsize>(made.size()));
  const std::vector<uint8_t> kept = ReadFile(PathOf(item));
  EXPECT_TRUE(kept == made) << PathOf(item) << " is not what the table makes";
  const WalkResult result = Walk(kept.data(), kept.size(), 1000, 1 << 20);
  EXPECT_EQ(result.error, item.error) << result.why;
  EXPECT_EQ(result.violation, "");
  EXPECT_THAT(result.why, testing::ContainsRegex(item.why));
}

std::string NameOf(const testing::TestParamInfo<size_t>& info) {
  std::string name = Table()[info.param].name;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Images, MustFailTest, testing::Range<size_t>(0, Table().size()), NameOf);

TEST(MustFail, EveryFileIsInTheTable) {
  std::set<fs::path> known;
  for (const MustFail& item : Table()) known.insert(PathOf(item));
  for (const auto& file : fs::directory_iterator(DAXFS_MUST_FAIL_DIR)) {
    if (file.path().extension() == ".daxfs") {
      EXPECT_TRUE(known.count(file.path())) << file.path();
    }
  }
}

}  // namespace
}  // namespace daxfs::core_testing
