// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/limits.hpp"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/os/temp_dir.hpp"
#include "common/os/testing/quota_mount.hpp"
#include "common/os/testing/scratch.hpp"
#include "snapshotter/no_images.hpp"
#include "snapshotter/snapshotter.hpp"

namespace daxfs::snapshotter {
namespace {

using os::testing::FitsForAContainer;

constexpr std::uint64_t kMiB = 1U << 20U;
constexpr const char* kLabel = "containerd.io/snapshot/max-size";

class LimitsTest : public ::testing::Test {
 protected:
  LimitsTest() : log_(sink_, {base::LogLevel::kError}) {}

  void Open(const std::string& root) {
    root_ = root;
    Result<std::unique_ptr<Snapshotter>> opened = Snapshotter::Open({root, {}}, images_, log_);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    snapshotter_ = *std::move(opened);
  }

  Mount Prepare(const std::string& key, const std::string& parent, const Labels& labels) {
    const Result<std::vector<Mount>> mounts = snapshotter_->Prepare(key, parent, labels);
    EXPECT_TRUE(mounts.ok()) << mounts.status().message();
    return mounts.ok() ? mounts->front() : Mount();
  }

  base::StderrSink sink_;
  base::Logger log_;
  NoImages images_;
  std::string root_;
  std::unique_ptr<Snapshotter> snapshotter_;
};

TEST_F(LimitsTest, ALabelThatIsNoSizeSaysNothing) {
  const os::testing::Scratch scratch;
  const Limits limits(scratch.path(), log_);
  for (const char* wrong : {"", "0", "-1", "1.5", "4M", " 1", "9223372036854775808"}) {
    EXPECT_FALSE(limits.Wanted({{kLabel, wrong}}).has_value()) << wrong;
  }
  EXPECT_EQ(limits.Wanted({{kLabel, "9223372036854775807"}}), 9223372036854775807U);
  EXPECT_FALSE(limits.Wanted({}).has_value());
  Open(scratch.path());
  EXPECT_TRUE(FitsForAContainer(Prepare("a", "", {{kLabel, "4M"}}).source + "/f", kMiB));
}

TEST_F(LimitsTest, WhatCannotBeLimitedIsAHint) {
  const Result<os::TempDir> memory = os::TempDir::Create("/dev/shm/daxfs-limits-");
  ASSERT_TRUE(memory.ok());
  Open(memory->path());
  const Mount mount = Prepare("a", "", {{kLabel, "1"}});
  EXPECT_TRUE(FitsForAContainer(mount.source + "/f", kMiB));
}

TEST_F(LimitsTest, AContainerWritesNoMoreThanItsLabelSays) {
  const os::testing::QuotaMount mounted;
  if (!mounted.why_not().empty()) GTEST_SKIP() << mounted.why_not();
  Open(mounted.path());
  const Mount layer = Prepare("extract", "", {});
  ASSERT_TRUE(FitsForAContainer(layer.source + "/three", 3 * kMiB)) << "without the label";
  ASSERT_TRUE(snapshotter_->Commit({"layer", "extract", "", {}}).ok());
  const Mount mount = Prepare("container", "layer", {{kLabel, std::to_string(4 * kMiB)}});
  const os::testing::Scratch scratch;
  const std::string merged = scratch.path() + "/merged";
  ASSERT_EQ(::mkdir(merged.c_str(), 0755), 0);
  std::string options;
  for (const std::string& option : mount.options) options += (options.empty() ? "" : ",") + option;
  ASSERT_EQ(::mount("overlay", merged.c_str(), "overlay", 0, options.c_str()), 0);
  std::ofstream(merged + "/three", std::ios::app) << "copied up";
  EXPECT_EQ(std::filesystem::file_size(merged + "/three"), 3 * kMiB + 9) << "what is copied counts";
  EXPECT_FALSE(FitsForAContainer(merged + "/two", 2 * kMiB));
  std::filesystem::remove(merged + "/two");
  std::filesystem::remove(merged + "/three");
  EXPECT_TRUE(FitsForAContainer(merged + "/two", 2 * kMiB));
  ASSERT_EQ(::umount2(merged.c_str(), 0), 0);
}

TEST_F(LimitsTest, NothingIsLeftOfALimit) {
  const os::testing::QuotaMount mounted;
  if (!mounted.why_not().empty()) GTEST_SKIP() << mounted.why_not();
  const Result<std::optional<os::ProjectQuotas>> quotas = os::ProjectQuotas::On(mounted.path());
  ASSERT_TRUE(quotas.ok() && quotas->has_value());
  Open(mounted.path() + "/root");
  const Mount mount = Prepare("a", "", {{kLabel, std::to_string(kMiB)}});
  const std::uint32_t project = *os::ProjectQuotas::ProjectOf(mount.source);
  EXPECT_TRUE((*quotas)->Look(project)->used);
  EXPECT_EQ((*quotas)->Look(project)->limit_bytes, kMiB);
  ASSERT_TRUE(snapshotter_->Remove("a").ok());
  ASSERT_TRUE(snapshotter_->Cleanup().ok());
  EXPECT_FALSE((*quotas)->Look(project)->used);
  EXPECT_EQ((*quotas)->Look(project)->limit_bytes, 0U);
}

TEST_F(LimitsTest, WhatOthersLimitStaysLimited) {
  const os::testing::QuotaMount mounted;
  if (!mounted.why_not().empty()) GTEST_SKIP() << mounted.why_not();
  const Result<std::optional<os::ProjectQuotas>> quotas = os::ProjectQuotas::On(mounted.path());
  ASSERT_TRUE(quotas.ok() && quotas->has_value());
  const std::string folder = mounted.path() + "/limited";
  ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
  constexpr std::uint32_t kOuter = (1U << 30U) + 7;  // might be ours
  ASSERT_TRUE(os::ProjectQuotas::Assign(folder, kOuter).ok());
  ASSERT_TRUE((*quotas)->Limit(kOuter, 64 * kMiB).ok());
  ASSERT_EQ(::symlink("limited", (mounted.path() + "/root").c_str()), 0);
  Open(mounted.path() + "/root");
  Prepare("a", "", {});
  const Mount limited = Prepare("b", "", {{kLabel, std::to_string(kMiB)}});
  EXPECT_FALSE(FitsForAContainer(limited.source + "/f", 2 * kMiB)) << "through a link too";
  for (const char* key : {"a", "b"}) ASSERT_TRUE(snapshotter_->Remove(key).ok());
  ASSERT_TRUE(snapshotter_->Cleanup().ok());
  EXPECT_EQ((*quotas)->Look(kOuter)->limit_bytes, 64 * kMiB);
}

}  // namespace
}  // namespace daxfs::snapshotter
