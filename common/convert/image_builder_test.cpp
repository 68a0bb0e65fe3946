// SPDX-License-Identifier: Apache-2.0
// Builds images through the public door and reads them back with common/format, which shares no
// code with it.
#include "common/convert/image_builder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "common/convert/testing/build.hpp"
#include "common/format/image.hpp"
#include "common/format/verify.hpp"
#include "common/os/testing/memory_file.hpp"

namespace daxfs::convert {
namespace {

using testing::BuiltImage;
using testing::ReadAll;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

Node FileNode(std::uint64_t size, DataId data) {
  Node node;
  node.attributes.mode = kTypeFile | 0644;
  node.size_bytes = size;
  node.data = data;
  return node;
}

NodeId AddFile(ImageBuilder& image, NodeId directory, const std::string& name,
               std::string_view content) {
  EXPECT_TRUE(image.data().Begin(content.size()).ok());
  EXPECT_TRUE(image.data().Append(std::as_bytes(std::span(content))).ok());
  const DataId data = *image.data().End();
  return *image.tree().Add(directory, name, FileNode(content.size(), data));
}

NodeId AddDirectoryNode(ImageBuilder& image, NodeId directory, const std::string& name) {
  Node node;
  node.attributes.mode = kTypeDirectory | 0755;
  return *image.tree().Add(directory, name, node);
}

std::string RandomBytes(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

TEST(ImageBuilderTest, EmptyTree) {
  BuiltImage built;
  const ImageSummary summary = *built.Finish();
  EXPECT_EQ(summary.inodes, 1U);
  EXPECT_EQ(summary.data_bytes, 0U);
  const format::Image image = built.Open();
  EXPECT_EQ(image.Root()->mode, kTypeDirectory | 0755);
  EXPECT_TRUE(format::Verify(image, format::VerifyLevel::kFull).ok());
}

TEST(ImageBuilderTest, EveryKindOfNodeComesBack) {
  BuiltImage built;
  Tree& tree = built.builder().tree();
  const NodeId dir = AddDirectoryNode(built.builder(), Tree::kRoot, "dir");
  const NodeId file = AddFile(built.builder(), dir, "file\xff\n", "hello");
  tree.At(file).attributes = {kTypeFile | 06755, 70000, 4294967294U, 0, 0, 999999999, -5};
  ASSERT_TRUE(tree.Link(Tree::kRoot, "link", file).ok());
  Node symlink;
  symlink.attributes.mode = kTypeSymlink | 0777;
  symlink.target = "dir/\xfe";
  const NodeId link = *tree.Add(Tree::kRoot, "sym", symlink);
  ASSERT_TRUE(tree.Link(dir, "sym2", link).ok());
  Node device;
  device.attributes.mode = kTypeBlock | 0600;
  device.attributes.rdev_major = 4095;
  device.attributes.rdev_minor = 1048575;
  device.xattrs = *built.builder().xattrs().Intern(
      {{"security.capability", std::string("\0\1\xff", 3)}, {"trusted.x", ""}});
  ASSERT_TRUE(tree.Add(dir, "dev", device).ok());
  ASSERT_TRUE(built.Finish().ok());

  const format::Image image = built.Open();
  const format::Inode found = *image.Lookup("/dir/file\xff\n");
  EXPECT_EQ(found.number, image.Lookup("link")->number);
  EXPECT_EQ(found.link_count, 2U);
  EXPECT_EQ(found.mode, kTypeFile | 06755);
  EXPECT_EQ(found.uid, 70000U);
  EXPECT_EQ(found.gid, 4294967294U);
  EXPECT_EQ(found.mtime_seconds, -5);
  EXPECT_EQ(found.mtime_nanoseconds, 999999999U);
  EXPECT_EQ(ReadAll(image, found), "hello");
  EXPECT_EQ(*image.SymlinkTarget(*image.Lookup("sym")), "dir/\xfe");
  EXPECT_EQ(image.Lookup("dir/sym2")->link_count, 2U);
  const format::Inode node = *image.Lookup("dir/dev");
  EXPECT_EQ(node.device_major, 4095U);
  EXPECT_EQ(node.device_minor, 1048575U);
  const auto xattrs = *image.Xattrs(node);
  ASSERT_EQ(xattrs.size(), 2U);
  EXPECT_EQ(xattrs[0].name, "security.capability");
  EXPECT_EQ(xattrs[0].value, std::string_view("\0\1\xff", 3));
  EXPECT_EQ(xattrs[1].value, "");
  EXPECT_EQ(image.Lookup("dir")->parent, 1U);
  EXPECT_EQ(image.Root()->link_count, 3U);
  const auto verified = format::Verify(image, format::VerifyLevel::kFull);
  EXPECT_TRUE(verified.ok()) << verified.status().message();
}

// The numbers a fixed-size directory block would trip over, and names of every length.
TEST(ImageBuilderTest, DirectoriesOfEverySize) {
  for (const int count : {1, 136, 272, 5000}) {
    BuiltImage built;
    const NodeId dir = AddDirectoryNode(built.builder(), Tree::kRoot, "dir");
    for (int i = 0; i < count; ++i) {
      std::string name = std::to_string(i) + "-";
      name.resize(static_cast<std::size_t>(i % 2 == 0 ? 255 : 8 + i % 247), 'n');
      AddFile(built.builder(), dir, name, name);
    }
    ASSERT_TRUE(built.Finish().ok());
    const format::Image image = built.Open();
    const format::Inode listed = *image.Lookup("dir");
    ASSERT_EQ(listed.entries, static_cast<std::uint64_t>(count));
    for (std::uint64_t i = 0; i < listed.entries; ++i) {
      const format::DirectoryEntry entry = *image.Entry(listed, i);
      const format::Inode found = *image.Find(listed, entry.name);
      ASSERT_EQ(found.number, entry.number);
      ASSERT_EQ(ReadAll(image, found), entry.name);
    }
    EXPECT_EQ(image.Find(listed, "absent").status().code(), StatusCode::kNotFound);
    EXPECT_TRUE(format::Verify(image, format::VerifyLevel::kFull).ok());
  }
}

TEST(ImageBuilderTest, FilesOfEverySizeAreWholeAndPadded) {
  BuiltImage built({.layout = {.huge_min_bytes = 3 * kMiB, .data_align_shift = 12}});
  std::map<std::string, std::string> contents;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{4095}, std::size_t{4096}, std::size_t{4097},
        std::size_t{65536}, std::size_t{kMiB}, std::size_t{kMiB + 1}, std::size_t{3 * kMiB - 1},
        std::size_t{3 * kMiB}, std::size_t{5 * kMiB + 17}}) {
    const std::string name = "f" + std::to_string(size);
    contents[name] = RandomBytes(size, static_cast<unsigned>(size));
    AddFile(built.builder(), Tree::kRoot, name, contents[name]);
  }
  ASSERT_TRUE(built.Finish().ok());
  const format::Image image = built.Open();
  for (const auto& [name, content] : contents) {
    const format::Inode inode = *image.Lookup(name);
    EXPECT_EQ(inode.huge, content.size() >= 3 * kMiB) << name;
    EXPECT_EQ(ReadAll(image, inode), content) << name;
  }
  const auto verified = format::Verify(image, format::VerifyLevel::kFull);
  EXPECT_TRUE(verified.ok()) << verified.status().message();
}

TEST(ImageBuilderTest, EqualFilesShareTheirData) {
  for (const std::size_t size : {std::size_t{5000}, std::size_t{2 * kMiB}, std::size_t{9 * kMiB}}) {
    const std::string content = RandomBytes(size, 7);
    BuiltImage one;
    AddFile(one.builder(), Tree::kRoot, "a", content);
    const ImageSummary alone = *one.Finish();
    BuiltImage two;
    AddFile(two.builder(), Tree::kRoot, "a", content);
    AddFile(two.builder(), Tree::kRoot, "b", content);
    const ImageSummary both = *two.Finish();
    EXPECT_EQ(both.shared_bytes, size);
    EXPECT_EQ(both.data_bytes, alone.data_bytes);
    const format::Image image = two.Open();
    EXPECT_EQ(image.RunAt(*image.Lookup("a"), 0)->image_offset,
              image.RunAt(*image.Lookup("b"), 0)->image_offset);
    EXPECT_EQ(ReadAll(image, *image.Lookup("b")), content);
    const auto verified = format::Verify(image, format::VerifyLevel::kFull);
    EXPECT_TRUE(verified.ok()) << verified.status().message();
  }
}

TEST(ImageBuilderTest, RemovedDataIsReusedOrZeroedAndCounted) {
  BuiltImage built;
  AddFile(built.builder(), Tree::kRoot, "gone", RandomBytes(100000, 1));
  AddFile(built.builder(), Tree::kRoot, "stays", RandomBytes(5000, 2));
  built.builder().tree().Remove(Tree::kRoot, "gone");
  AddFile(built.builder(), Tree::kRoot, "small", RandomBytes(3000, 3));
  AddFile(built.builder(), Tree::kRoot, "tail", RandomBytes(2 * kMiB, 4));
  built.builder().tree().Remove(Tree::kRoot, "tail");
  const ImageSummary summary = *built.Finish();
  EXPECT_EQ(summary.data_bytes, 102400U + 8192);
  EXPECT_EQ(summary.waste_bytes, 102400U - 4096);
  const format::Image image = built.Open();
  EXPECT_EQ(image.RunAt(*image.Lookup("small"), 0)->image_offset, 4096U);
  const std::string freed = built.bytes().substr(8192, 4096 + 102400 - 8192);
  EXPECT_EQ(freed, std::string(freed.size(), '\0'));
  const auto verified = format::Verify(image, format::VerifyLevel::kFull);
  EXPECT_TRUE(verified.ok()) << verified.status().message();
}

TEST(ImageBuilderTest, SameTreeInAnotherOrderHasTheSameMetadataRules) {
  std::string first;
  for (const bool reversed : {false, true}) {
    BuiltImage built;
    std::vector<std::string> names = {"a", "b", "c", "d"};
    if (reversed) std::reverse(names.begin(), names.end());
    for (const std::string& name : names) AddDirectoryNode(built.builder(), Tree::kRoot, name);
    const std::string root = built.Finish()->root.Hex();
    if (first.empty()) first = root;
    EXPECT_EQ(root, first);
  }
}

// Whatever call of the medium fails, the build fails with that error and nothing is published.
TEST(ImageBuilderTest, EveryCallOfTheMediumMayFail) {
  int calls = 0;
  for (int n = 1;; ++n) {
    BuiltImage built;
    built.state().fail_at_call = n;
    ImageBuilder& image = built.builder();
    const auto build = [&]() -> Status {
      for (const std::size_t size : {std::size_t{10}, std::size_t{3 * kMiB}, std::size_t{10}}) {
        const std::string content = RandomBytes(size, 1);
        RETURN_IF_ERROR(image.data().Begin(size));
        RETURN_IF_ERROR(image.data().Append(std::as_bytes(std::span(content))));
        ASSIGN_OR_RETURN(const DataId data, image.data().End());
        const std::string name = "f" + std::to_string(image.tree().Capacity());
        RETURN_IF_ERROR(image.tree().Add(Tree::kRoot, name, FileNode(size, data)).status());
      }
      return built.Finish().status();
    };
    const Status status = build();
    if (status.ok()) {
      calls = built.state().calls;
      EXPECT_EQ(n, calls + 1);
      break;
    }
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
    EXPECT_FALSE(built.state().is_committed) << "call " << n;
  }
  EXPECT_GT(calls, 6);
}

TEST(ImageBuilderTest, RefusesWhatTheFormatCannotHold) {
  BuiltImage built;
  Tree& tree = built.builder().tree();
  Node file = FileNode(0, kNoData);
  for (const std::string& name : {std::string(256, 'x'), std::string("a/b"), std::string("."),
                                  std::string(".."), std::string(), std::string("\0", 1)}) {
    EXPECT_EQ(tree.Add(Tree::kRoot, name, file).status().code(), StatusCode::kInvalidArgument);
  }
  Node symlink;
  symlink.attributes.mode = kTypeSymlink | 0777;
  for (const std::string& target :
       {std::string(), std::string(4096, 'x'), std::string("a\0b", 3)}) {
    symlink.target = target;
    EXPECT_FALSE(tree.Add(Tree::kRoot, "s", symlink).ok());
  }
  Node device;
  device.attributes.mode = kTypeCharacter;
  device.attributes.rdev_major = 4096;
  EXPECT_FALSE(tree.Add(Tree::kRoot, "d", device).ok());
  XattrTable& xattrs = built.builder().xattrs();
  for (const auto& [name, size] : std::map<std::string, std::size_t>{
           {"", 1}, {std::string(256, 'n'), 1}, {std::string("a\0", 2), 1}, {"user.a", 65537}}) {
    EXPECT_FALSE(xattrs.Intern({{name, std::string(size, 'v')}}).ok());
  }
  EXPECT_TRUE(xattrs.Intern({{"user.a", std::string(65536, 'v')}}).ok());
}

}  // namespace
}  // namespace daxfs::convert
