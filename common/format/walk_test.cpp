// SPDX-License-Identifier: Apache-2.0
#include "common/format/walk.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "common/format/content.hpp"
#include "common/format/dump.hpp"
#include "testing/tiny_image.hpp"

namespace daxfs::format {
namespace {

using core_testing::TinyImage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

daxfs_attr Attr(std::uint32_t mode, std::uint32_t links) {
  daxfs_attr attr = {};
  attr.mode = mode;
  attr.nlink = links;
  return attr;
}

daxfs_attr Directory(std::uint64_t start, std::uint64_t count, std::uint64_t parent) {
  daxfs_attr attr = Attr(S_IFDIR | 0755, 2);
  attr.data_start = start;
  attr.data_count = count;
  attr.parent = parent;
  return attr;
}

TinyImage::Entry Named(const std::string& name, std::uint32_t type, std::uint64_t number) {
  return TinyImage::Named(name, type >> 12U, number);
}

// An image of our own bytes, at a page.
class TestImage {
 public:
  explicit TestImage(const TinyImage& tiny) {
    const std::vector<std::uint8_t> bytes = tiny.Build();
    bytes_.reset(
        static_cast<std::byte*>(std::aligned_alloc(4096, (bytes.size() + 4095) / 4096 * 4096)));
    std::transform(bytes.begin(), bytes.end(), bytes_.get(),
                   [](std::uint8_t b) { return std::byte{b}; });
    image_ = std::make_unique<Image>(*Image::FromBytes({bytes_.get(), bytes.size()}));
  }
  const Image& operator*() const { return *image_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
  std::unique_ptr<Image> image_;
};

Result<std::vector<std::string>> Paths(const Image& image) {
  std::vector<std::string> paths;
  TreeWalk walk(image);
  for (WalkEntry entry;;) {
    ASSIGN_OR_RETURN(const bool more, walk.Next(&entry));
    if (!more) return paths;
    paths.push_back(entry.path + (entry.hard_link ? " = " + entry.first_path : ""));
  }
}

TEST(WalkTest, EveryNameOnceInOrder) {
  const TestImage image(TinyImage::OneOfEverything());
  const auto paths = Paths(*image);
  ASSERT_TRUE(paths.ok()) << paths.status().message();
  EXPECT_TRUE(std::is_sorted(paths->begin(), paths->end()));
  EXPECT_EQ(paths->front(), "/");
  EXPECT_EQ(
      std::count_if(paths->begin(), paths->end(),
                    [](const std::string& path) { return path.find(" = ") != std::string::npos; }),
      1);
}

struct BadTree {
  const char* message;
  std::vector<daxfs_attr> inodes;
  std::vector<TinyImage::Entry> entries;  // each directory's ones sorted below
};

// What would make a walk long or endless, or a tree that is none.
TEST(WalkTest, RefusesWhatIsNoTree) {
  const std::uint32_t file = S_IFREG | 0644;
  const std::vector<BadTree> table = {
      {"directory under two names",
       {Directory(0, 2, 1), Directory(2, 0, 1)},
       {Named("a", S_IFDIR, 2), Named("b", S_IFDIR, 2)}},
      {"more names than links",
       {Directory(0, 2, 1), Attr(file, 1)},
       {Named("a", S_IFREG, 2), Named("b", S_IFREG, 2)}},
      {"more names than links",
       {Directory(0, 3, 1), Attr(file, 2)},
       {Named("a", S_IFREG, 2), Named("b", S_IFREG, 2), Named("c", S_IFREG, 2)}},
      {"fewer names than links", {Directory(0, 1, 1), Attr(file, 2)}, {Named("a", S_IFREG, 2)}},
      {"inodes that no directory names",
       {Directory(0, 1, 1), Attr(file, 1), Attr(file, 1)},
       {Named("a", S_IFREG, 2)}},
      {"directories that share entries",
       {Directory(0, 1, 1), Directory(0, 1, 1)},
       {Named("a", S_IFDIR, 2)}},
      {"directory named outside its parent",
       {Directory(0, 1, 1), Directory(1, 1, 1), Directory(2, 0, 1)},
       {Named("a", S_IFDIR, 2), Named("b", S_IFDIR, 3)}},
      {"the root as a child", {Directory(0, 1, 1)}, {Named("a", S_IFDIR, 1)}},
  };
  for (const BadTree& bad : table) {
    TinyImage tiny;
    tiny.inodes = bad.inodes;
    tiny.entries = bad.entries;
    std::sort(tiny.entries.begin(), tiny.entries.end(), [](const auto& a, const auto& b) {
      return std::pair(a.ino == 3, a.hash) < std::pair(b.ino == 3, b.hash);
    });
    const TestImage image(tiny);
    const auto paths = Paths(*image);
    ASSERT_FALSE(paths.ok()) << bad.message;
    EXPECT_EQ(paths.status().code(), StatusCode::kDataLoss);
    EXPECT_THAT(paths.status().message(), HasSubstr(bad.message));
    EXPECT_FALSE(Dump(*image, [](std::string_view) { return Status::Ok(); }).ok());
  }
}

TEST(WalkTest, PathsHaveAnEnd) {
  TinyImage tiny;
  for (std::uint64_t i = 0; i < 300; ++i) {
    tiny.inodes.push_back(Directory(i, i < 299 ? 1 : 0, i == 0 ? 1 : i));
    if (i < 299) tiny.entries.push_back(Named(std::string(255, 'n'), S_IFDIR, i + 2));
  }
  const TestImage image(tiny);
  EXPECT_EQ(Paths(*image).status().code(), StatusCode::kOutOfRange);
}

TEST(ContentTest, HolesAreZeros) {
  const TestImage image(TinyImage::OneOfEverything());
  const Inode file = *(*image).Lookup("file");
  std::uint64_t told = 0;
  const auto digest = DigestOfContent(*image, file, [&](std::uint64_t bytes, std::uint64_t) {
    told += bytes;
    return Status::Ok();
  });
  ASSERT_TRUE(digest.ok());
  EXPECT_EQ(told, file.size_bytes);
  EXPECT_TRUE(*SameContent(*image, file, *image, file));
  TinyImage filled = TinyImage::OneOfEverything();
  filled.data[0] ^= 1;
  const TestImage other(filled);
  EXPECT_FALSE(*SameContent(*image, file, *other, *(*other).Lookup("file")));
  EXPECT_NE(*DigestOfContent(*other, *(*other).Lookup("file")), *digest);
  EXPECT_EQ(DigestOfContent(*image, file,
                            [](std::uint64_t, std::uint64_t) { return CancelledError("stop"); })
                .status()
                .code(),
            StatusCode::kCancelled);
}

TEST(ContentTest, ExtentsAsStored) {
  const TestImage image(TinyImage::OneOfEverything());
  std::vector<std::uint64_t> logical;
  EXPECT_TRUE(ForEachExtent(*image, *(*image).Lookup("file"), [&](const FileExtent& extent) {
                logical.push_back(extent.logical);
                return Status::Ok();
              }).ok());
  EXPECT_THAT(logical, ElementsAre(0, 16384));
}

}  // namespace
}  // namespace daxfs::format
