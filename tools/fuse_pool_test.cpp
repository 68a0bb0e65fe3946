// SPDX-License-Identifier: Apache-2.0
// Images of a pool through daxfs-fuse, which takes part in it by itself: in use as long as they are
// mounted, and good layers for OverlayFS.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "common/convert/testing/test_pool.hpp"
#include "common/os/process.hpp"
#include "common/os/testing/mounts.hpp"
#include "common/os/testing/scratch.hpp"
#include "common/os/unique_fd.hpp"
#include "common/pool/inspect.hpp"

namespace daxfs::tools {
namespace {

using convert::Node;
using convert::NodeId;
using convert::Tree;
using convert::testing::BuiltImage;
using convert::testing::TestPool;
using os::testing::MountLine;
using os::testing::ReadFile;
using ::testing::HasSubstr;

Node MakeNode(std::uint32_t mode) {
  Node node;
  node.attributes.mode = mode;
  return node;
}

NodeId AddDirectory(BuiltImage& image, NodeId parent, const std::string& name,
                    const convert::XattrMap& xattrs = {}) {
  Node node = MakeNode(convert::kTypeDirectory | 0755);
  node.xattrs = *image.builder().xattrs().Intern(xattrs);
  return *image.builder().tree().Add(parent, name, std::move(node));
}

void AddFile(BuiltImage& image, NodeId parent, const std::string& name, const std::string& text) {
  Node node = MakeNode(convert::kTypeFile | 0644);
  node.size_bytes = text.size();
  ASSERT_TRUE(image.builder().data().Begin(text.size()).ok());
  ASSERT_TRUE(image.builder().data().Append(std::as_bytes(std::span(text))).ok());
  node.data = *image.builder().data().End();
  ASSERT_TRUE(image.builder().tree().Add(parent, name, std::move(node)).ok());
}

class FusePoolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = os::testing::WhyNoMounts();
    if (!why_not.empty()) GTEST_SKIP() << "daxfs-fuse is not mounted here: " << why_not;
    // In memory, and with the attributes an upper layer wants.
    ASSERT_EQ(::mount("none", scratch_.path().c_str(), "tmpfs", 0, nullptr), 0);
    pool_ = std::make_unique<TestPool>(scratch_.path());
  }
  void TearDown() override {
    if (!pool_) return;
    for (const std::string& path : mounted_) ::umount2(path.c_str(), MNT_DETACH);
    EXPECT_TRUE(WaitForAllToLeave());
    pool_.reset();
    EXPECT_EQ(::umount2(scratch_.path().c_str(), MNT_DETACH), 0);
  }

  std::string Directory(const std::string& name) {
    const std::string path = scratch_.Path(name);
    ::mkdir(path.c_str(), 0755);
    return path;
  }

  os::ProgramEnd Run(const std::string& image, const std::string& mountpoint) {
    Result<os::ProgramEnd> end =
        os::RunProgram({DAXFS_FUSE_PROGRAM, "-o", "allow_other,dev,suid", image, mountpoint});
    EXPECT_TRUE(end.ok()) << end.status().ToString();
    mounted_.push_back(mountpoint);
    return *std::move(end);
  }

  std::string Mount(const std::string& object, const std::string& name) {
    const std::string path = Directory(name);
    const os::ProgramEnd end = Run("pool:" + pool_->path() + ":" + object, path);
    EXPECT_EQ(end.exit_status, 0) << end.said;
    EXPECT_THAT(end.said, HasSubstr("this is not the kernel module"));
    return path;
  }

  // Those that daxfs-fuse has in the pool.
  std::vector<pool::SlotView> Others() {
    std::vector<pool::SlotView> slots = pool::ListSlots(pool_->participant().memory());
    slots.erase(std::remove_if(slots.begin(), slots.end(),
                               [](const auto& slot) { return slot.name != "daxfs-fuse"; }),
                slots.end());
    return slots;
  }
  bool WaitForAllToLeave() {
    return os::testing::WaitUntil([this] { return Others().empty(); });
  }
  std::size_t Collectable() { return pool_->participant().Collect({.dry_run = true}).size(); }

  const os::testing::Scratch scratch_;
  std::unique_ptr<TestPool> pool_;
  std::vector<std::string> mounted_;
};

TEST_F(FusePoolTest, AnImageIsInUseAsLongAsItIsMounted) {
  BuiltImage image;
  AddFile(image, Tree::kRoot, "file", "content");
  const std::string digest = pool::DigestText(pool_->Place(image, "web:1"));
  const std::string one = Mount(digest, "one");
  const std::string two = Mount("web:1", "two");
  ASSERT_EQ(Others().size(), 2U);
  EXPECT_EQ(Others().front().uses, 1U);
  for (const std::string& path : {one, two}) {
    EXPECT_THAT(MountLine(path),
                HasSubstr("daxfs-fuse\\043pool:" + pool_->path() + ":" + digest + " " + path +
                          " fuse.daxfs ro,relatime,"));  // neither nodev nor nosuid
    EXPECT_EQ(ReadFile(path + "/file"), "content");
  }
  ASSERT_TRUE(pool_->participant().RemoveName("web:1").ok());
  EXPECT_EQ(Collectable(), 0U);
  ASSERT_EQ(::umount(one.c_str()), 0);
  EXPECT_TRUE(os::testing::WaitUntil([&] { return Others().size() == 1; }));
  EXPECT_EQ(Collectable(), 0U);
  EXPECT_EQ(ReadFile(two + "/file"), "content");
  ASSERT_EQ(::umount(two.c_str()), 0);
  EXPECT_TRUE(WaitForAllToLeave());
  EXPECT_EQ(Collectable(), 1U);
}

TEST_F(FusePoolTest, ALazyUnmountLeavesItToItsUsers) {
  BuiltImage image;
  AddFile(image, Tree::kRoot, "file", "content");
  const std::string path = Mount(pool::DigestText(pool_->Place(image)), "m");
  os::UniqueFd user(::open((path + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(user.valid());
  ASSERT_EQ(::umount2(path.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(MountLine(path), "");
  std::array<char, 8> text{};
  EXPECT_EQ(::pread(user.get(), text.data(), text.size(), 0), 7);
  EXPECT_EQ(std::string(text.data()), "content");
  EXPECT_EQ(Others().size(), 1U);
  EXPECT_EQ(Collectable(), 0U);
  ASSERT_TRUE(user.Close().ok());
  EXPECT_TRUE(WaitForAllToLeave());
  EXPECT_EQ(Collectable(), 1U);
}

TEST_F(FusePoolTest, WhatAKilledOneUsedIsFree) {
  BuiltImage image;
  AddFile(image, Tree::kRoot, "file", "content");
  const std::string path = Mount(pool::DigestText(pool_->Place(image)), "m");
  const std::vector<pool::SlotView> others = Others();
  ASSERT_EQ(others.size(), 1U);
  ASSERT_EQ(::kill(static_cast<pid_t>(others.front().pid), SIGKILL), 0);
  EXPECT_TRUE(os::testing::WaitUntil([&] { return pool_->participant().SweepLocal() == 1; }));
  EXPECT_EQ(Collectable(), 1U);
  EXPECT_EQ(::open((path + "/file").c_str(), O_RDONLY), -1);
  EXPECT_EQ(errno, ENOTCONN);
  EXPECT_EQ(::umount(path.c_str()), 0);
}

TEST_F(FusePoolTest, WhatCannotBeMounted) {
  const std::string pool = "pool:" + pool_->path();
  const std::string none = "sha256:" + std::string(64, '0');
  BuiltImage image;
  const std::string there = pool + ":" + pool::DigestText(pool_->Place(image));
  const std::vector<std::tuple<std::string, std::string, int, std::string>> table = {
      {pool + ":" + none, "m", 3, "no object " + none},
      {pool + ":web", "m", 3, "no object is called \"web\""},
      {pool, "m", 1, "pool:POOL:NAME"},
      {pool + "x:web", "m", 3, "No such file or directory"},
      {"pool:no-such-pool:web", "m", 3, "no pool \"no-such-pool\""},
      {there, "none", 1, "none: No such file or directory"},
      {there, "pool", 1, "pool: Not a directory"},
  };
  Directory("m");
  for (const auto& [source, mountpoint, status, said] : table) {
    const os::ProgramEnd end = Run(source, scratch_.Path(mountpoint));
    EXPECT_EQ(end.exit_status, status) << source;
    EXPECT_THAT(end.said, ::testing::StartsWith("daxfs-fuse: "));
    EXPECT_THAT(end.said, HasSubstr(said));
    EXPECT_EQ(MountLine(scratch_.Path(mountpoint)), "");
  }
}

// Two layers as `daxfs-build --per-layer` makes them: the upper one takes a file and what a
// directory had away.
class OverlayTest : public FusePoolTest {
 protected:
  std::string MountLower() {
    BuiltImage image;
    const NodeId opaque = AddDirectory(image, Tree::kRoot, "opaque");
    AddFile(image, opaque, "old", "old");
    const NodeId merged = AddDirectory(image, Tree::kRoot, "merged");
    AddFile(image, merged, "low", "low");
    AddFile(image, Tree::kRoot, "gone", "gone");
    return Mount(pool::DigestText(pool_->Place(image)), "low");
  }
  std::string MountUpper() {
    BuiltImage image;
    const NodeId opaque =
        AddDirectory(image, Tree::kRoot, "opaque", {{"trusted.overlay.opaque", "y"}});
    AddFile(image, opaque, "new", "new");
    const NodeId merged = AddDirectory(image, Tree::kRoot, "merged");
    AddFile(image, merged, "high", "high");
    EXPECT_TRUE(image.builder().tree().Add(Tree::kRoot, "gone", MakeNode(S_IFCHR)).ok());
    return Mount(pool::DigestText(pool_->Place(image)), "high");
  }
  static std::vector<std::string> Names(const std::string& path) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

TEST_F(OverlayTest, TakesThemForLayers) {
  using ::testing::ElementsAre;
  const std::string low = MountLower();
  const std::string high = MountUpper();
  struct stat whiteout {};
  ASSERT_EQ(::lstat((high + "/gone").c_str(), &whiteout), 0);
  EXPECT_TRUE(S_ISCHR(whiteout.st_mode));
  EXPECT_EQ(whiteout.st_rdev, 0U);
  std::array<char, 2> value{};
  EXPECT_EQ(::lgetxattr((high + "/opaque").c_str(), "trusted.overlay.opaque", value.data(), 2), 1);
  EXPECT_EQ(value[0], 'y');

  const std::string options = "lowerdir=" + high + ":" + low + ",upperdir=" + Directory("upper") +
                              ",workdir=" + Directory("work") + ",index=off";
  const std::string all = Directory("all");
  ASSERT_EQ(::mount("overlay", all.c_str(), "overlay", 0, options.c_str()), 0) << errno;
  EXPECT_THAT(Names(all), ElementsAre("merged", "opaque"));
  EXPECT_THAT(Names(all + "/opaque"), ElementsAre("new"));
  EXPECT_THAT(Names(all + "/merged"), ElementsAre("high", "low"));
  EXPECT_EQ(::access((all + "/gone").c_str(), F_OK), -1);
  // Written over, and the layers are what they were.
  os::testing::WriteFile(all + "/merged/low", "changed");
  std::filesystem::rename(all + "/opaque/new", all + "/gone");
  EXPECT_EQ(ReadFile(all + "/merged/low") + ReadFile(all + "/gone"), "changednew");
  EXPECT_EQ(ReadFile(low + "/merged/low") + ReadFile(low + "/gone"), "lowgone");
  // Who uses the layers keeps them.
  for (const std::string& layer : {low, high}) ASSERT_EQ(::umount2(layer.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(ReadFile(all + "/merged/high"), "high");
  EXPECT_EQ(Others().size(), 2U);
  ASSERT_EQ(::umount(all.c_str()), 0);
  EXPECT_TRUE(WaitForAllToLeave());
}

}  // namespace
}  // namespace daxfs::tools
