// SPDX-License-Identifier: Apache-2.0
#include "common/os/directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>

#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

using ::testing::ElementsAre;
using testing::Scratch;
using testing::WriteFile;

TEST(DirectoryTest, NamesAreSortedByBytesAndReadTwice) {
  const Scratch scratch;
  for (const char* name : {"b", "a", "\xff", "B", ".hidden"}) WriteFile(scratch.Path(name), "");
  const Directory dir = *Directory::Open(scratch.path());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(*dir.Names(), ElementsAre(".hidden", "B", "a", "b", "\xff"));
  }
}

TEST(DirectoryTest, StatDoesNotFollow) {
  const Scratch scratch;
  WriteFile(scratch.Path("file"), "12345");
  ASSERT_EQ(::symlink("file", scratch.Path("link").c_str()), 0);
  const Directory dir = *Directory::Open(scratch.path());
  EXPECT_EQ(dir.Stat("file")->size_bytes, 5U);
  EXPECT_TRUE(S_ISLNK(dir.Stat("link")->mode));
  EXPECT_TRUE(S_ISDIR(dir.Stat("")->mode));
  EXPECT_EQ(*dir.ReadLink("link"), "file");
  EXPECT_EQ(dir.Stat("none").status().code(), StatusCode::kNotFound);
}

TEST(DirectoryTest, NothingLeadsOutside) {
  const Scratch scratch;
  WriteFile(scratch.Path("secret"), "x");
  std::filesystem::create_directories(scratch.Path("in/sub"));
  WriteFile(scratch.Path("in/sub/file"), "x");
  ASSERT_EQ(::symlink("../secret", scratch.Path("in/out").c_str()), 0);
  ASSERT_EQ(::symlink("/etc", scratch.Path("in/abs").c_str()), 0);
  ASSERT_EQ(::symlink("sub/file", scratch.Path("in/inside").c_str()), 0);
  ASSERT_EQ(::mkfifo(scratch.Path("in/fifo").c_str(), 0600), 0);
  const Directory dir = *Directory::Open(scratch.Path("in"));
  EXPECT_TRUE(dir.OpenFile("sub/file").ok());
  EXPECT_TRUE(dir.OpenFile("inside").ok());
  for (const char* path : {"../secret", "out", "/etc/passwd", "abs/passwd", "fifo", "sub"}) {
    EXPECT_FALSE(dir.OpenFile(path).ok()) << path;
  }
  EXPECT_TRUE(dir.OpenDirectory("sub").ok());
  for (const char* path : {"..", "abs", "inside", "none"}) {
    EXPECT_FALSE(dir.OpenDirectory(path).ok()) << path;
  }
}

TEST(DirectoryTest, XattrsAreBinaryAndSorted) {
  const Scratch scratch;
  WriteFile(scratch.Path("file"), "x");
  const std::string value("\0\xff=\n", 4);
  for (const char* name : {"user.z", "user.a"}) {
    if (::setxattr(scratch.Path("file").c_str(), name, value.data(), value.size(), 0) != 0) {
      GTEST_SKIP() << "this filesystem has no user xattrs";
    }
  }
  const Directory dir = *Directory::Open(scratch.path());
  const std::vector<Xattr> xattrs = *dir.Xattrs("file");
  ASSERT_EQ(xattrs.size(), 2U);
  EXPECT_EQ(xattrs[0].name, "user.a");
  EXPECT_EQ(xattrs[1].value, value);
  EXPECT_TRUE(dir.Xattrs("")->empty());
  EXPECT_FALSE(dir.Xattrs("none").ok());
}

TEST(DirectoryTest, OpenSaysWhy) {
  const Scratch scratch;
  WriteFile(scratch.Path("file"), "");
  EXPECT_EQ(Directory::Open(scratch.Path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Directory::Open(scratch.Path("file")).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace daxfs::os
