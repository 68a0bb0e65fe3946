// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/mounter.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "common/convert/testing/test_pool.hpp"
#include "common/os/daxfs_control.hpp"
#include "common/os/mount.hpp"
#include "common/os/testing/mounts.hpp"
#include "common/os/testing/scratch.hpp"
#include "common/os/unique_fd.hpp"
#include "common/pool/inspect.hpp"
#include "snapshotter/pool_images.hpp"

namespace daxfs::snapshotter {
namespace {

using convert::testing::BuiltImage;
using convert::testing::TestPool;
using os::testing::MountLine;
using os::testing::Scratch;
using os::testing::WaitUntil;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Captured final : public base::LogSink {
 public:
  void Write(std::string_view line) override { text += std::string(line) + "\n"; }
  std::string text;
};

struct Logged {
  Captured lines;
  base::Logger log{lines, {}};
};

// What the kernel module wants, which no test of this program has.
std::string KernelWants() {
  return os::HasDaxfsControl() ? "daxfsctl pool attach" : "modprobe daxfs";
}

TEST(MakeMounterTest, WhatDoesNotWorkHereSaysWhatToDo) {
  const Scratch scratch;
  os::testing::WriteFile(scratch.Path("text"), "");
  const std::string pool = scratch.Path("pool");
  const std::vector<std::tuple<std::string, std::string, StatusCode, std::string>> table = {
      {"erofs", "/bin/sh", StatusCode::kInvalidArgument,
       "mounter \"erofs\": there is auto, kernel and fuse"},
      {"", "/bin/sh", StatusCode::kInvalidArgument, "mounter \"\""},
      {"kernel", "/bin/sh", StatusCode::kFailedPrecondition, KernelWants()},
      {"fuse", scratch.Path("none"), StatusCode::kFailedPrecondition,
       "/dev/fuse|install daxfs-fuse"},
      {"fuse", scratch.Path("text"), StatusCode::kFailedPrecondition,
       "/dev/fuse|install daxfs-fuse"},
      {"auto", scratch.Path("none"), StatusCode::kFailedPrecondition,
       "not kernel: .*" + KernelWants() + ".*; nor fuse: "},
  };
  for (const auto& [backend, program, code, message] : table) {
    Logged logged;
    const auto made = MakeMounter(backend, pool, program, logged.log);
    EXPECT_EQ(made.status().code(), code) << backend;
    EXPECT_THAT(made.status().message(), ::testing::ContainsRegex(message));
    EXPECT_EQ(logged.lines.text, "");
  }
}

// Who mounts at one path, and is told when to end.
class SlowMounter final : public Mounter {
 public:
  const char* name() const override { return "slow"; }
  Status Mount(const oci::Digest& /*root*/, const std::string& /*path*/) override {
    mounting.count_down();
    end.wait();
    return Status::Ok();
  }
  Status Unmount(const std::string& /*path*/) override { return Status::Ok(); }

  std::latch mounting{1};
  std::latch end{1};
};

class NoContainerd final : public containerd::Content, public containerd::NamedImages {
 public:
  Result<std::unique_ptr<oci::ByteReader>> Open(const containerd::Blob& /*blob*/,
                                                const std::string& /*name_space*/) override {
    return NotFoundError("no such blob");
  }
  Result<std::vector<containerd::NamedImage>> List() override {
    return std::vector<containerd::NamedImage>();
  }
  Result<containerd::NamedImage> Find(const std::string& /*name_space*/,
                                      const std::string& /*name*/) override {
    return NotFoundError("no containerd");
  }
};

TEST(PoolImagesTest, WhoUnmountsDoesNotWaitForWhoMountsElsewhere) {
  const Scratch scratch;
  ASSERT_EQ(::mkdir(scratch.Path("a").c_str(), 0755), 0);
  Logged logged;
  pool::Membership membership(scratch.Path("pool"), "test");
  SlowMounter mounter;
  NoContainerd containerd;
  Catalog catalog(containerd, containerd);
  PoolImages images(membership, mounter, catalog, containerd, logged.log);
  std::thread slow([&] { EXPECT_TRUE(images.Mount(LayerImage{}, scratch.Path("a")).ok()); });
  mounter.mounting.wait();
  EXPECT_TRUE(images.Unmount(scratch.Path("b")).ok());
  mounter.end.count_down();
  slow.join();
}

class FuseMounterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = os::testing::WhyNoMounts();
    if (!why_not.empty()) GTEST_SKIP() << "nothing is mounted here: " << why_not;
    ASSERT_EQ(::mount("none", scratch_.path().c_str(), "tmpfs", 0, "mode=755"), 0);
    pool_ = std::make_unique<TestPool>(scratch_.path());
    ::setenv("DAXFS_POOLS_DIR", scratch_.path().c_str(), 1);
    os::testing::WriteFile(scratch_.Path("test.yaml"), "devices: [" + pool_->path() + "]\n");
    for (const char* name : {"a", "b"}) ASSERT_EQ(::mkdir(scratch_.Path(name).c_str(), 0755), 0);
  }
  void TearDown() override {
    if (!pool_) return;
    for (const char* name : {"a", "b"}) ::umount2(scratch_.Path(name).c_str(), MNT_DETACH);
    EXPECT_TRUE(WaitUntil([&] { return Served().empty(); }));
    pool_.reset();
    EXPECT_EQ(::umount2(scratch_.path().c_str(), MNT_DETACH), 0);
  }

  // An image with the file "file".
  oci::Digest Place() {
    BuiltImage image;
    convert::Node node;
    node.attributes.mode = convert::kTypeFile | 0644;
    node.size_bytes = 7;
    DAXFS_CHECK(image.builder().data().Begin(node.size_bytes).ok());
    DAXFS_CHECK(image.builder().data().Append(std::as_bytes(std::span("content", 7))).ok());
    node.data = *image.builder().data().End();
    DAXFS_CHECK(image.builder().tree().Add(convert::Tree::kRoot, "file", std::move(node)).ok());
    return {pool_->Place(image)};
  }

  std::unique_ptr<Mounter> Make(const std::string& program = DAXFS_FUSE_PROGRAM) {
    Result<std::unique_ptr<Mounter>> made = MakeMounter("fuse", "test", program, logged_.log);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return *std::move(made);
  }

  // The processes that serve mounts.
  std::vector<std::uint32_t> Served() {
    std::vector<std::uint32_t> pids;
    for (const pool::SlotView& slot : pool::ListSlots(pool_->participant().memory())) {
      if (slot.name == "daxfs-fuse") pids.push_back(slot.pid);
    }
    return pids;
  }

  const Scratch scratch_;
  Logged logged_;
  std::unique_ptr<TestPool> pool_;
};

// Whether somebody who is not root can read the file.
bool IsReadByNobody(const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(65534) != 0) ::_exit(1);
    const os::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 8> text{};
    ::_exit(::read(file.get(), text.data(), text.size()) == 7 ? 0 : 1);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

TEST_F(FuseMounterTest, MountsAndUnmounts) {
  const oci::Digest root = Place();
  const std::unique_ptr<Mounter> mounter = Make();
  EXPECT_STREQ(mounter->name(), "fuse");
  for (const char* name : {"a", "b"}) {
    const std::string path = scratch_.Path(name);
    const Status mounted = mounter->Mount(root, path);
    ASSERT_TRUE(mounted.ok()) << mounted.ToString();
    EXPECT_THAT(MountLine(path), HasSubstr("daxfs-fuse\\043pool:test:" + root.ToString() + " " +
                                           path + " fuse.daxfs ro,relatime,"));
  }
  EXPECT_EQ(Served().size(), 2U);
  EXPECT_TRUE(mounter->Unmount(scratch_.Path("b")).ok());
  EXPECT_TRUE(mounter->Unmount(scratch_.Path("b")).ok()) << "nothing is there any more";
  EXPECT_TRUE(WaitUntil([&] { return Served().size() == 1; }));
  const os::UniqueFd user(::open(scratch_.Path("a/file").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(mounter->Unmount(scratch_.Path("a")).ok());
  EXPECT_EQ(MountLine(scratch_.Path("a")), "");
  char byte = 0;
  EXPECT_EQ(::read(user.get(), &byte, 1), 1);
}

TEST_F(FuseMounterTest, WhatServesHasNothingOfOurs) {
  const os::UniqueFd ours(::open(scratch_.Path("ours").c_str(), O_RDWR | O_CREAT, 0600));
  const std::unique_ptr<Mounter> mounter = Make();
  ASSERT_TRUE(mounter->Mount(Place(), scratch_.Path("a")).ok());
  ASSERT_EQ(Served().size(), 1U);
  const auto pid = static_cast<pid_t>(Served().front());
  EXPECT_EQ(::getsid(pid), pid);
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1) << "it is a child of ours";
  for (const auto& fd :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    const std::string target = std::filesystem::read_symlink(fd.path());
    EXPECT_NE(target, scratch_.Path("ours"));
    EXPECT_EQ(target.find("standard error"), std::string::npos);
  }
}

TEST_F(FuseMounterTest, MountsAgainWhatHasDied) {
  const std::string path = scratch_.Path("a");
  const oci::Digest root = Place();
  const std::unique_ptr<Mounter> mounter = Make();
  EXPECT_FALSE(*os::IsMountPoint(path));
  for (const bool is_looked_at : {false, true}) {
    ASSERT_TRUE(mounter->Mount(root, path).ok());
    if (is_looked_at) {
      EXPECT_TRUE(std::filesystem::is_directory(path));
    }
    EXPECT_TRUE(*os::IsMountPoint(path));
    ASSERT_EQ(Served().size(), 1U);
    ASSERT_EQ(::kill(static_cast<pid_t>(Served().front()), SIGKILL), 0);
    EXPECT_TRUE(WaitUntil([&] { return !*os::IsMountPoint(path); }));
    EXPECT_TRUE(WaitUntil([&] { return pool_->participant().SweepLocal() == 1; }));
  }
  const Status again = mounter->Mount(root, path);
  ASSERT_TRUE(again.ok()) << again.ToString();
  EXPECT_EQ(os::testing::ReadFile(path + "/file"), "content");
  EXPECT_TRUE(mounter->Unmount(path).ok());
  EXPECT_EQ(MountLine(path), "") << "the dead one was left below";
}

TEST_F(FuseMounterTest, IsALayerForEverybody) {
  ASSERT_TRUE(Make()->Mount(Place(), scratch_.Path("a")).ok());
  EXPECT_TRUE(IsReadByNobody(scratch_.Path("a/file")));
}

TEST_F(FuseMounterTest, WhatCannotBeMounted) {
  os::testing::WriteFile(scratch_.Path("mute"), "#!/bin/sh\nexit 7\n");
  ASSERT_EQ(::chmod(scratch_.Path("mute").c_str(), 0755), 0);
  const std::unique_ptr<Mounter> mute = Make(scratch_.Path("mute"));
  const std::unique_ptr<Mounter> mounter = Make();
  const oci::Digest root = Place();
  const Status gone = mounter->Mount(oci::Digest{}, scratch_.Path("a"));
  EXPECT_EQ(gone.code(), StatusCode::kNotFound);
  EXPECT_THAT(gone.message(), HasSubstr("no object sha256:0000"));
  const Status nowhere = mounter->Mount(root, scratch_.Path("none"));
  EXPECT_EQ(nowhere.code(), StatusCode::kInternal);
  EXPECT_THAT(nowhere.message(), AllOf(HasSubstr("status 1"), HasSubstr("none: No such file")));
  const Status silent = mute->Mount(root, scratch_.Path("a"));
  EXPECT_EQ(silent.code(), StatusCode::kInternal);
  EXPECT_THAT(silent.message(), HasSubstr("mute: exit status 7"));
  ASSERT_TRUE(std::filesystem::remove(scratch_.Path("mute")));
  EXPECT_EQ(mute->Mount(root, scratch_.Path("a")).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(MountLine(scratch_.Path("a")), "");
}

TEST_F(FuseMounterTest, APoolThatIsFullOfParticipantsIsNoRoom) {
  const oci::Digest root = Place();
  std::vector<std::unique_ptr<pool::Participant>> others;
  const std::uint32_t slots = pool_->participant().memory().words().slot_count;
  while (others.size() + 1 < slots) others.push_back(pool_->Join());
  EXPECT_EQ(Make()->Mount(root, scratch_.Path("a")).code(), StatusCode::kResourceExhausted);
  others.pop_back();
  EXPECT_TRUE(Make()->Mount(root, scratch_.Path("a")).ok());
}

TEST_F(FuseMounterTest, AutoSaysWhyItIsNotTheKernel) {
  Logged logged;
  const auto made = MakeMounter("auto", "test", DAXFS_FUSE_PROGRAM, logged.log);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_STREQ((*made)->name(), "fuse");
  EXPECT_THAT(logged.lines.text, AllOf(HasSubstr("who mounts images"), HasSubstr("backend=fuse"),
                                       HasSubstr("not kernel: "), HasSubstr(KernelWants())));
}

}  // namespace
}  // namespace daxfs::snapshotter
