// SPDX-License-Identifier: Apache-2.0
// The directory of everything, in trouble: full, half lost, not to be removed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/os/testing/mounts.hpp"
#include "common/os/testing/scratch.hpp"
#include "snapshotter/no_images.hpp"
#include "snapshotter/snapshotter.hpp"

namespace daxfs::snapshotter {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

class RootTest : public testing::Test {
 protected:
  RootTest() : log_(sink_, {base::LogLevel::kError}) {}
  void SetUp() override {
    const std::string why = os::testing::WhyNoMounts();
    if (!why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(::mount("test", Root().c_str(), "tmpfs", 0, "size=8m"), 0);
    Reopen();
  }
  void TearDown() override {
    snapshotter_.reset();
    ::umount2(Root().c_str(), MNT_DETACH);
  }
  void Reopen() {
    snapshotter_.reset();
    Result<std::unique_ptr<Snapshotter>> opened = Snapshotter::Open({Root(), {}}, images_, log_);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    snapshotter_ = *std::move(opened);
  }
  const std::string& Root() const { return scratch_.path(); }
  std::string Prepare(const std::string& key) {
    const Result<std::vector<Mount>> mounts = snapshotter_->Prepare(key, "", {});
    EXPECT_TRUE(mounts.ok()) << mounts.status().message();
    return mounts.ok() ? mounts->front().source : std::string();
  }
  std::vector<std::string> Names(const std::string& directory) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  // To the last byte.
  void FillDisk(const std::string& path) {
    std::ofstream file(path, std::ios::binary);
    const std::string block(4096, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
    EXPECT_EQ(fs::space(Root()).available, 0U);
  }

  const os::testing::Scratch scratch_;
  base::StderrSink sink_;
  base::Logger log_;
  NoImages images_;
  std::unique_ptr<Snapshotter> snapshotter_;
};

TEST_F(RootTest, AFullDiskIsEmptiedByRemovingWhatFillsIt) {
  for (const bool restarts : {false, true}) {
    const std::string large = Prepare("large");
    for (const char* key : {"s1", "s2", "s3"}) Prepare(key);
    FillDisk(large + "/file");
    EXPECT_EQ(snapshotter_->Prepare("b", "", {}).status().code(), StatusCode::kResourceExhausted);
    if (restarts) {
      snapshotter_.reset();
      fs::remove(Root() + "/snapshots.db-shm");  // as behind a boot
      FillDisk(large + "/more");
      Reopen();
    }
    // Somebody takes whatever is free.
    for (const char* key : {"s1", "s2", "s3"}) {
      EXPECT_TRUE(snapshotter_->Remove(key).ok());
      EXPECT_TRUE(snapshotter_->Cleanup().ok());
      FillDisk(large + "/" + key);
    }
    const Status removed = snapshotter_->Remove("large");
    EXPECT_TRUE(removed.ok()) << removed.message();
    EXPECT_TRUE(snapshotter_->Cleanup().ok());
    Prepare("b");
    EXPECT_TRUE(snapshotter_->Remove("b").ok());
    EXPECT_TRUE(snapshotter_->Cleanup().ok());
    EXPECT_EQ(fs::file_size(Root() + "/reserve"), 1U << 20U);
    EXPECT_THAT(Names(Root() + "/snapshots"), IsEmpty());
  }
}

TEST_F(RootTest, WhatCannotBeRemovedStopsNothing) {
  const std::string busy = Prepare("a") + "/busy";
  fs::create_directory(busy);
  ASSERT_EQ(::mount("test", busy.c_str(), "tmpfs", 0, nullptr), 0);
  EXPECT_TRUE(snapshotter_->Remove("a").ok());
  Reopen();
  EXPECT_EQ(Prepare("b"), Root() + "/snapshots/2/fs");
  EXPECT_TRUE(snapshotter_->Cleanup().ok());
  EXPECT_THAT(Names(Root() + "/snapshots"), ElementsAre("1", "2"));
  ASSERT_EQ(::umount2(busy.c_str(), 0), 0);
  EXPECT_TRUE(snapshotter_->Cleanup().ok());
  EXPECT_THAT(Names(Root() + "/snapshots"), ElementsAre("2"));
}

TEST_F(RootTest, WhatOnlyHelpsALostDatabaseStopsNothing) {
  Prepare("a");
  snapshotter_.reset();
  const std::string instance = Root() + "/instance";
  ASSERT_TRUE(fs::remove(instance));
  ASSERT_TRUE(fs::create_directory(instance));
  Reopen();
  EXPECT_TRUE(snapshotter_->Stat("a").ok());
  ASSERT_TRUE(fs::remove(instance));
  Reopen();
  EXPECT_TRUE(fs::is_regular_file(instance)) << "written when it can be";
}

TEST_F(RootTest, WhatContainersWroteOutlivesTheDatabase) {
  os::testing::WriteFile(Prepare("a") + "/file", "precious");
  snapshotter_.reset();
  for (const char* file : {"snapshots.db", "snapshots.db-wal", "snapshots.db-shm"}) {
    fs::remove(Root() + "/" + file);
  }
  // Where they cannot be put aside nothing begins, however often it is tried.
  const std::string busy = Root() + "/snapshots";
  ASSERT_EQ(::mount(busy.c_str(), busy.c_str(), nullptr, MS_BIND, nullptr), 0);
  for (int time = 0; time < 2; ++time) {
    EXPECT_FALSE(Snapshotter::Open({Root(), {}}, images_, log_).ok());
  }
  ASSERT_EQ(::umount2(busy.c_str(), 0), 0);
  Reopen();
  EXPECT_THAT(*snapshotter_->List({}), IsEmpty());
  EXPECT_EQ(Prepare("b"), Root() + "/snapshots/1/fs");
  const std::vector<std::string> names = Names(Root());
  const auto aside = std::find_if(names.begin(), names.end(), [](const std::string& name) {
    return name.rfind("snapshots.lost-", 0) == 0;
  });
  ASSERT_NE(aside, names.end());
  EXPECT_EQ(os::testing::ReadFile(Root() + "/" + *aside + "/1/fs/file"), "precious");
}

}  // namespace
}  // namespace daxfs::snapshotter
