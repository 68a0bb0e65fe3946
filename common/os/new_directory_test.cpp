// SPDX-License-Identifier: Apache-2.0
#include "common/os/new_directory.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

using testing::CountEntries;
using testing::ReadFile;
using testing::Scratch;

class NewDirectoryTest : public ::testing::Test {
 protected:
  FileInfo Info(const std::string& name) { return *Directory::Open(scratch_.path())->Stat(name); }

  const Scratch scratch_;
  const NewDirectory directory_ = *NewDirectory::Open(scratch_.path());
};

TEST_F(NewDirectoryTest, MakesEveryKind) {
  ASSERT_TRUE(directory_.MakeDirectory("d").ok());
  const NewDirectory below = *directory_.OpenDirectory("d");
  UniqueFd fd = *below.MakeFile("f");
  EXPECT_TRUE(SetFileSize(fd.get(), 100000).ok());
  ASSERT_TRUE(directory_.Link("again", below, "f").ok());
  ASSERT_TRUE(directory_.MakeSymlink("link", "d/f").ok());
  ASSERT_TRUE(directory_.MakeNode("fifo", S_IFIFO, 0, 0).ok());
  ASSERT_TRUE(directory_.MakeNode("socket", S_IFSOCK, 0, 0).ok());
  EXPECT_EQ(Info("d").mode, static_cast<std::uint32_t>(S_IFDIR | 0700));
  EXPECT_EQ(Info("again").link_count, 2U);
  EXPECT_EQ(Info("again").size_bytes, 100000U);
  EXPECT_EQ(Info("fifo").mode, static_cast<std::uint32_t>(S_IFIFO | 0600));
  EXPECT_EQ(Info("socket").mode & S_IFMT, static_cast<std::uint32_t>(S_IFSOCK));
  EXPECT_EQ(*Directory::Open(scratch_.path())->ReadLink("link"), "d/f");
}

TEST_F(NewDirectoryTest, NothingIsReplacedOrFollowed) {
  testing::WriteFile(scratch_.Path("file"), "content");
  ASSERT_TRUE(directory_.MakeDirectory("d").ok());
  ASSERT_TRUE(directory_.MakeSymlink("to-file", "file").ok());
  ASSERT_TRUE(directory_.MakeSymlink("to-dir", "d").ok());
  for (const char* name : {"file", "d", "to-file", "to-dir"}) {
    EXPECT_EQ(directory_.MakeFile(name).status().error_number(), EEXIST) << name;
    EXPECT_EQ(directory_.MakeDirectory(name).error_number(), EEXIST) << name;
    EXPECT_EQ(directory_.MakeSymlink(name, "x").error_number(), EEXIST) << name;
    EXPECT_EQ(directory_.MakeNode(name, S_IFIFO, 0, 0).error_number(), EEXIST) << name;
    EXPECT_EQ(directory_.Link(name, directory_, "file").error_number(), EEXIST) << name;
  }
  EXPECT_FALSE(directory_.OpenDirectory("to-dir").ok());
  EXPECT_FALSE(directory_.SetMode("to-file", 0777).ok());
  EXPECT_TRUE(directory_.SetTime("to-file", -5, 7).ok());
  EXPECT_TRUE(directory_.SetOwner("to-file", ::getuid(), ::getgid()).ok());
  EXPECT_EQ(Info("to-file").mtime_seconds, -5);
  EXPECT_EQ(Info("to-file").mtime_nanoseconds, 7U);
  EXPECT_GT(Info("file").mtime_seconds, 0);
  EXPECT_EQ(ReadFile(scratch_.Path("file")), "content");
  ASSERT_TRUE(directory_.Link("hard", directory_, "to-file").ok());
  EXPECT_EQ(Info("hard").mode & S_IFMT, static_cast<std::uint32_t>(S_IFLNK));
}

TEST_F(NewDirectoryTest, AttributesOfItselfAndOfNames) {
  ASSERT_TRUE(directory_.MakeFile("f").ok());
  for (const std::string name : {"f", ""}) {
    EXPECT_TRUE(directory_.SetOwner(name, ::getuid(), ::getgid()).ok());
    EXPECT_TRUE(directory_.RemoveXattr(name, "user.none").ok());
    EXPECT_TRUE(directory_.SetMode(name, 04751).ok());
    EXPECT_TRUE(directory_.SetTime(name, 1, 2).ok());
    EXPECT_EQ(Info(name).mode & 07777U, 04751U);
    EXPECT_EQ(Info(name).mtime_seconds, 1);
    EXPECT_FALSE(directory_.SetXattr(name, {"none.such", "x"}).ok());
  }
  EXPECT_EQ(CountEntries(scratch_.path()), 1U);
}

}  // namespace
}  // namespace daxfs::os
