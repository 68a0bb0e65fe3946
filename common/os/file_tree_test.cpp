// SPDX-License-Identifier: Apache-2.0
#include "common/os/file_tree.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/os/testing/scratch.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {
namespace {

bool Never() { return false; }

class FileTreeTest : public ::testing::Test {
 protected:
  FileTreeTest() { Directory("top"); }
  void Directory(const std::string& name) {
    ASSERT_TRUE(MakeDirectory(scratch_.Path(name), 0755).ok());
  }
  std::string top() const { return scratch_.Path("top"); }
  testing::Scratch scratch_;
};

TEST_F(FileTreeTest, RemovesEverythingButWhatLinksPointTo) {
  Directory("kept");
  testing::WriteFile(scratch_.Path("kept/file"), "x");
  Directory("top/a");
  Directory("top/a/b");
  testing::WriteFile(scratch_.Path("top/a/b/file"), "x");
  ASSERT_EQ(::symlink(scratch_.Path("kept").c_str(), scratch_.Path("top/a/link").c_str()), 0);
  ASSERT_EQ(::mkfifo(scratch_.Path("top/fifo").c_str(), 0), 0);
  EXPECT_TRUE(RemoveTree(top()).ok());
  EXPECT_NE(::access(top().c_str(), F_OK), 0);
  EXPECT_EQ(testing::ReadFile(scratch_.Path("kept/file")), "x");
  EXPECT_TRUE(RemoveTree(top()).ok());  // nothing there
}

TEST_F(FileTreeTest, RemovesTreesDeeperThanPathsAndDescriptorsGo) {
  UniqueFd here(::open(top().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name(200, 'd');
  for (int depth = 0; depth < 300; ++depth) {
    ASSERT_EQ(::mkdirat(here.get(), name.c_str(), 0755), 0);
    here = UniqueFd(::openat(here.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(here.valid()) << depth;
  }
  const Status removed = RemoveTree(top());
  EXPECT_TRUE(removed.ok()) << removed.message();
  EXPECT_NE(::access(top().c_str(), F_OK), 0);
}

TEST_F(FileTreeTest, MeasuresBlocksAndEachInodeOnce) {
  const Result<TreeUsage> empty = MeasureTree(top(), Never);
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(empty->inodes, 1U);
  Directory("top/a");
  testing::WriteFile(scratch_.Path("top/a/file"), std::string(100000, 'x'));
  ASSERT_EQ(::link(scratch_.Path("top/a/file").c_str(), scratch_.Path("top/again").c_str()), 0);
  ASSERT_EQ(::symlink("/", scratch_.Path("top/root").c_str()), 0);
  const Result<TreeUsage> full = MeasureTree(top(), Never);
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->inodes, 4U);
  EXPECT_GE(full->bytes, empty->bytes + 98304);
  EXPECT_LT(full->bytes, empty->bytes + 200000);
}

TEST_F(FileTreeTest, MeasuresTreesDeeperThanPathsAndDescriptorsGo) {
  constexpr int kDepth = 300;
  constexpr rlim_t kDescriptors = 128;
  UniqueFd here(::open(top().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name(200, 'd');
  for (int depth = 0; depth < kDepth; ++depth) {
    ASSERT_EQ(::mkdirat(here.get(), name.c_str(), 0755), 0);
    for (const char* beside : {"a", "b", "e", "f", "y"}) {
      ASSERT_EQ(::mkdirat(here.get(), beside, 0755), 0);
    }
    here = UniqueFd(::openat(here.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(here.valid()) << depth;
  }
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit few = {kDescriptors, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const Result<TreeUsage> usage = MeasureTree(top(), Never);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_TRUE(usage.ok()) << usage.status().message();
  EXPECT_EQ(usage->inodes, 6U * kDepth + 1);
  EXPECT_TRUE(RemoveTree(top()).ok());
}

TEST_F(FileTreeTest, MeasuringCanBeGivenUp) {
  EXPECT_EQ(MeasureTree(top(), [] { return true; }).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(MeasureTree(scratch_.Path("none"), Never).status().code(), StatusCode::kNotFound);
  for (int i = 0; i < 1500; ++i) {
    testing::WriteFile(scratch_.Path("top/" + std::to_string(i)), "");
  }
  int asked = 0;
  EXPECT_EQ(MeasureTree(top(), [&] { return ++asked == 2; }).status().code(),
            StatusCode::kCancelled);
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(MeasureTree(top(), Never)->inodes, 1501U);
}

}  // namespace
}  // namespace daxfs::os
