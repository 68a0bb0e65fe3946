// SPDX-License-Identifier: Apache-2.0
#include "common/convert/directory_source.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "common/convert/testing/build.hpp"
#include "common/format/verify.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::convert {
namespace {

using os::testing::Scratch;
using os::testing::WriteFile;
using testing::BuiltImage;
using testing::CountingMonitor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

void SetTime(const std::string& path, std::int64_t seconds, long nanoseconds = 0) {
  const struct timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

// A tree with every kind of node an ordinary user can make; names come in the order given.
void MakeTree(const std::string& root, bool reversed) {
  std::filesystem::create_directories(root);
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i) names.push_back("f" + std::to_string(i * 7919 % 300));
  names.emplace_back("\xff not text \n");
  if (reversed) std::reverse(names.begin(), names.end());
  if (reversed) std::filesystem::create_directories(root + "/zdir");
  for (const std::string& name : names) {
    WriteFile(root + "/" + name, name);
    ASSERT_EQ(::chmod((root + "/" + name).c_str(), 0640), 0);
    SetTime(root + "/" + name, 1000, 7);
  }
  std::filesystem::create_directories(root + "/zdir");
  ASSERT_EQ(::chmod((root + "/zdir").c_str(), 01750), 0);
  ASSERT_EQ(::symlink("f1", (root + "/link").c_str()), 0);
  ASSERT_EQ(::link((root + "/f2").c_str(), (root + "/zdir/hard").c_str()), 0);
  ASSERT_EQ(::mkfifo((root + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((root + "/fifo").c_str(), 0600), 0);
  for (const char* name : {"/link", "/fifo", "/zdir", ""}) SetTime(root + name, -86400, 500);
  ASSERT_EQ(::chmod(root.c_str(), 0751), 0);
}

std::string BuildFrom(const std::string& root) {
  BuiltImage image({.layout = {}, .profile = Profile::kArchive});
  CountingMonitor monitor;
  const Status status = AddDirectory(image.builder(), root, monitor);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(image.Finish().ok());
  return image.bytes();
}

TEST(DirectorySourceTest, SameBytesWhateverThePathOrderAndUmask) {
  const Scratch scratch;
  const mode_t before = ::umask(0022);
  MakeTree(scratch.Path("one"), false);
  const std::string first = BuildFrom(scratch.Path("one"));
  ::umask(0077);
  std::filesystem::create_directories(scratch.Path("deep/er"));
  MakeTree(scratch.Path("deep/er/two"), true);
  const std::string second = BuildFrom(scratch.Path("deep/er/two") + "/");
  ::umask(before);
  EXPECT_TRUE(first == second);
  EXPECT_TRUE(first == BuildFrom(scratch.Path("one")));
}

TEST(DirectorySourceTest, SameBytesWhereverTheHolesAre) {
  const Scratch scratch;
  const std::string zeros(5 << 20, '\0');
  for (const std::string tree : {"sparse", "full"}) {
    std::filesystem::create_directories(scratch.Path(tree));
    WriteFile(scratch.Path(tree + "/large"), tree == "full" ? "begin" + zeros : "begin");
    WriteFile(scratch.Path(tree + "/empty"), tree == "full" ? zeros : "");
    WriteFile(scratch.Path(tree + "/small"), tree == "full" ? "s" + zeros.substr(0, 9000) : "s");
    std::filesystem::resize_file(scratch.Path(tree + "/large"), 5 + zeros.size());
    std::filesystem::resize_file(scratch.Path(tree + "/empty"), zeros.size());
    std::filesystem::resize_file(scratch.Path(tree + "/small"), 9001);
    for (const char* name : {"/large", "/empty", "/small", ""})
      SetTime(scratch.Path(tree + name), 1000);
  }
  EXPECT_EQ(BuildFrom(scratch.Path("sparse")), BuildFrom(scratch.Path("full")));
}

TEST(DirectorySourceTest, ArchiveKeepsEverything) {
  const Scratch scratch;
  const std::string root = scratch.Path("t");
  MakeTree(root, false);
  BuiltImage image({.layout = {}, .profile = Profile::kArchive});
  CountingMonitor monitor;
  ASSERT_TRUE(AddDirectory(image.builder(), root, monitor).ok());
  EXPECT_EQ(monitor.count, 305U);
  ASSERT_TRUE(image.Finish().ok());
  const format::Image opened = image.Open();
  EXPECT_TRUE(format::Verify(opened, format::VerifyLevel::kFull).ok());
  const format::Inode top = *opened.Root();
  EXPECT_EQ(top.mode, kTypeDirectory | 0751);
  EXPECT_EQ(top.mtime_seconds, -86400);
  EXPECT_EQ(top.mtime_nanoseconds, 500U);
  EXPECT_EQ(opened.Lookup("zdir")->mode, kTypeDirectory | 01750);
  EXPECT_EQ(opened.Lookup("zdir/hard")->number, opened.Lookup("f2")->number);
  EXPECT_EQ(opened.Lookup("f2")->link_count, 2U);
  EXPECT_EQ(opened.Lookup("f2")->uid, ::getuid());
  EXPECT_EQ(opened.Lookup("f1")->mtime_nanoseconds, 7U);
  EXPECT_EQ(*opened.SymlinkTarget(*opened.Lookup("link")), "f1");
  EXPECT_EQ(opened.Lookup("fifo")->mode, kTypeFifo | 0600);
  EXPECT_EQ(testing::ReadAll(opened, *opened.Lookup("\xff not text \n")), "\xff not text \n");
}

TEST(DirectorySourceTest, LayerProfileIsWhatALayerWouldHold) {
  const Scratch scratch;
  MakeTree(scratch.Path("t"), false);
  BuiltImage image;
  CountingMonitor monitor;
  ASSERT_TRUE(AddDirectory(image.builder(), scratch.Path("t"), monitor).ok());
  ASSERT_TRUE(image.Finish().ok());
  const format::Image opened = image.Open();
  EXPECT_EQ(opened.Root()->mode, kTypeDirectory | 0755);
  EXPECT_EQ(opened.Root()->mtime_seconds, 0);
  EXPECT_EQ(opened.Lookup("zdir")->mtime_seconds, 0);
  EXPECT_EQ(opened.Lookup("f1")->mtime_seconds, 1000);
}

TEST(DirectorySourceTest, HardLinksToElsewhereCountOnlyNamesInside) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch.Path("t"));
  WriteFile(scratch.Path("outside"), "x");
  ASSERT_EQ(::link(scratch.Path("outside").c_str(), scratch.Path("t/inside").c_str()), 0);
  BuiltImage image;
  CountingMonitor monitor;
  ASSERT_TRUE(AddDirectory(image.builder(), scratch.Path("t"), monitor).ok());
  ASSERT_TRUE(image.Finish().ok());
  EXPECT_EQ(image.Open().Lookup("inside")->link_count, 1U);
}

TEST(DirectorySourceTest, ErrorsNameThePath) {
  const Scratch scratch;
  WriteFile(scratch.Path("file"), "x");
  for (const char* name : {"none", "file"}) {
    BuiltImage image;
    CountingMonitor monitor;
    const Status status = AddDirectory(image.builder(), scratch.Path(name), monitor);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), HasSubstr(name));
  }
}

TEST(DirectorySourceTest, TheMonitorMayStopIt) {
  class Stop final : public Monitor {
   public:
    Status Advance(std::uint64_t, std::uint64_t) override {
      return ++calls == 3 ? CancelledError("interrupted") : Status::Ok();
    }
    int calls = 0;
  };
  const Scratch scratch;
  MakeTree(scratch.Path("t"), false);
  BuiltImage image;
  Stop monitor;
  EXPECT_EQ(AddDirectory(image.builder(), scratch.Path("t"), monitor).code(),
            StatusCode::kCancelled);
  EXPECT_EQ(monitor.calls, 3);
}

}  // namespace
}  // namespace daxfs::convert
