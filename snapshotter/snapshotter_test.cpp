// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/snapshotter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "common/os/file_tree.hpp"
#include "common/os/testing/mounts.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::snapshotter {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

oci::Digest Numbered(unsigned char number) {
  oci::Digest digest;
  digest.bytes.fill(static_cast<std::byte>(number));
  return digest;
}

LayerImage ImageOf(unsigned char number) {
  return {Numbered(static_cast<unsigned char>(number + 100)), Numbered(number)};
}

// A pool of images without bytes; a mount is a name in a set.
class FakeImages final : public Images {
 public:
  Result<std::optional<LayerImage>> FindChain(const oci::Digest& chain) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(fails);
    const auto found = chains.find(chain);
    return found == chains.end() ? std::optional<LayerImage>() : found->second;
  }
  Status AddChain(const LayerImage& image, const oci::Digest& chain,
                  const std::optional<oci::Digest>& /*parent*/) override {
    const std::lock_guard lock(mutex);
    chains[chain] = image;
    return Status::Ok();
  }
  Status Hold(const LayerImage& image, const std::string& holder) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(hold_fails);
    if (changes_when_held && holds.contains(holder)) {
      changes_when_held = false;
      LoseLocked();
    }
    if (gone.contains(image.root)) return NotFoundError("it is gone");
    holds[holder] = image;
    return Status::Ok();
  }
  Status Drop(const std::string& holder) override {
    const std::lock_guard lock(mutex);
    holds.erase(holder);
    return Status::Ok();
  }
  Result<std::vector<std::string>> Reconcile(const std::string& prefix,
                                             const std::vector<std::string>& holders) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(fails);
    std::erase_if(holds, [&](const auto& hold) {
      return hold.first.rfind(prefix, 0) == 0 &&
             std::find(holders.begin(), holders.end(), hold.first) == holders.end();
    });
    std::vector<std::string> lost = holders;
    std::erase_if(lost, [&](const std::string& holder) { return holds.contains(holder); });
    return lost;
  }
  std::uint64_t Joined() override {
    if (throws && thrown++ == 0) throw std::runtime_error("a library's");
    return joined;
  }
  Result<bool> IsPlaced(const LayerImage& image) override {
    const std::lock_guard lock(mutex);
    return !gone.contains(image.root);
  }
  Result<LayerImage> Restore(const LayerImage& image, const std::string& holder,
                             const std::vector<std::string>& below,
                             const std::function<bool()>& cancelled) override {
    if (while_restoring) RETURN_IF_ERROR(while_restoring(cancelled));
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(restore_fails);
    restored_over.push_back(below);
    gone.erase(image.root);
    const LayerImage again = {another_root ? *another_root : image.root, image.diff_id};
    holds[holder] = again;
    return again;
  }
  Result<snapshotter::Usage> Measure(const LayerImage& /*image*/) override {
    const std::lock_guard lock(mutex);
    return snapshotter::Usage{1234, 5};
  }
  Status Mount(const LayerImage& image, const std::string& path) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(fails);
    RETURN_IF_ERROR(mount_fails);
    if (mounted.contains(path)) return Status::Ok();
    if (gone.contains(image.root)) return NotFoundError("it is gone");
    if (mounted.size() >= room) {
      if (when_full) when_full();
      return ResourceExhaustedError("too many are mounted");
    }
    mounted.insert(path);
    mounted_of[path] = joined;
    return Status::Ok();
  }
  Status Unmount(const std::string& path) override {
    const std::scoped_lock lock(unmounting, mutex);
    RETURN_IF_ERROR(unmount_fails);
    mounted.erase(path);
    return Status::Ok();
  }
  Result<bool> Withdraw(const std::string& path) override {
    const std::lock_guard lock(mutex);
    RETURN_IF_ERROR(unmount_fails);
    return mounted.erase(path) > 0;
  }
  bool IsMounted(const std::string& path) {
    const std::lock_guard lock(mutex);
    return mounted.contains(path);
  }

  std::mutex unmounting;  // nobody does while a test has it
  std::mutex mutex;
  std::map<oci::Digest, LayerImage> chains;
  std::map<std::string, LayerImage> holds;
  std::size_t Held() {
    const std::lock_guard lock(mutex);
    return holds.size();
  }
  // As a pool that is made anew.
  void Lose(bool everything) {
    const std::lock_guard lock(mutex);
    if (everything) {
      for (const auto& [holder, image] : holds) gone.insert(image.root);
    }
    LoseLocked();
  }
  void LoseLocked() {
    holds.clear();
    ++joined;
  }

  std::set<std::string> mounted;
  std::size_t room = SIZE_MAX;
  std::function<void()> when_full;
  std::map<std::string, std::uint64_t> mounted_of;  // which pool, counted as joined
  bool changes_when_held = false;                   // by who has held it, once
  std::set<oci::Digest> gone;
  std::vector<std::vector<std::string>> restored_over;
  std::optional<oci::Digest> another_root;
  std::atomic<std::uint64_t> joined = 1;
  Status fails;
  Status hold_fails;
  Status mount_fails;
  Status unmount_fails;
  Status restore_fails;
  std::function<Status(const std::function<bool()>& cancelled)> while_restoring;
  std::atomic<bool> throws = false;  // once
  std::atomic<int> thrown = 0;
};

class SnapshotterTest : public testing::Test {
 protected:
  SnapshotterTest() : log_(sink_, {base::LogLevel::kError}) { Reopen(); }
  void Reopen() {
    snapshotter_.reset();
    Result<std::unique_ptr<Snapshotter>> opened =
        Snapshotter::Open({scratch_.path(), {"index=off"}, [this] { ++found_; }}, images_, log_);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    snapshotter_ = *std::move(opened);
  }
  std::string Path(int id, const std::string& below) const {
    return scratch_.path() + "/snapshots/" + std::to_string(id) + "/" + below;
  }
  std::vector<std::string> Directories() {
    static_cast<void>(snapshotter_->Cleanup());
    std::vector<std::string> names;
    for (int id = 1; id < 20; ++id) {
      if (::access(Path(id, "").c_str(), F_OK) == 0) names.push_back(std::to_string(id));
    }
    return names;
  }
  Mount PrepareOne(const std::string& key, const std::string& parent, const Labels& labels = {}) {
    const Result<std::vector<Mount>> mounts = snapshotter_->Prepare(key, parent, labels);
    EXPECT_TRUE(mounts.ok()) << mounts.status().message();
    return mounts.ok() ? mounts->front() : Mount();
  }
  // A layer as containerd pulls one: prepared, applied, committed as its chain.
  void Pull(unsigned char number, const std::string& name, const std::string& parent) {
    const Mount mount = PrepareOne("extract", parent);
    const Result<Snapshot> target = snapshotter_->FindTarget({mount});
    ASSERT_TRUE(target.ok()) << target.status().message();
    ASSERT_TRUE(snapshotter_->SetImage(*target, ImageOf(number)).ok());
    const Status committed = snapshotter_->Commit({name, "extract", "", {}});
    ASSERT_TRUE(committed.ok()) << committed.message();
  }

  os::testing::Scratch scratch_;
  base::StderrSink sink_;
  base::Logger log_;
  FakeImages images_;
  std::atomic<int> found_ = 0;  // layers, by Prepare
  std::unique_ptr<Snapshotter> snapshotter_;
};

TEST_F(SnapshotterTest, DirectoriesAreLayersOverEachOther) {
  EXPECT_EQ(PrepareOne("a", ""), (Mount{"bind", Path(1, "fs"), {"rw", "rbind"}}));
  struct stat info {};
  ASSERT_EQ(::stat(Path(1, "fs").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0755U);
  os::testing::WriteFile(Path(1, "fs/file"), "content");
  ASSERT_TRUE(snapshotter_->Commit({"c", "a", "", {}}).ok());
  EXPECT_EQ(PrepareOne("b", "c"), (Mount{"overlay",
                                         "overlay",
                                         {"workdir=" + Path(2, "work"), "upperdir=" + Path(2, "fs"),
                                          "lowerdir=" + Path(1, "fs"), "index=off"}}));
  EXPECT_EQ(snapshotter_->Mounts("b")->front(), snapshotter_->Mounts("b")->front());
  snapshotter_->SetOverlayOptions({"metacopy=on"});
  EXPECT_THAT(snapshotter_->Mounts("b")->front().options, Contains("metacopy=on"));
  EXPECT_EQ(snapshotter_->Mounts("c").status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(snapshotter_->View("v", "c", {})->front(),
            (Mount{"bind", Path(1, "fs"), {"ro", "rbind"}}));
  const auto never = [] { return false; };
  EXPECT_EQ(snapshotter_->Measure("c", never)->inodes, 2);
  EXPECT_EQ(snapshotter_->Measure("b", never)->inodes, 1);
  EXPECT_EQ(snapshotter_->Measure("v", never)->inodes, 0);
}

TEST_F(SnapshotterTest, RemovedSnapshotsLeaveNothing) {
  PrepareOne("a", "");
  Pull(1, Numbered(1).ToString(), "");
  PrepareOne("b", Numbered(1).ToString());
  EXPECT_THAT(images_.mounted, ElementsAre(Path(2, "fs")));
  EXPECT_THAT(Directories(), ElementsAre("1", "2", "3"));
  EXPECT_EQ(snapshotter_->Remove(Numbered(1).ToString()).code(), StatusCode::kFailedPrecondition);
  for (const std::string& key : {std::string("a"), std::string("b"), Numbered(1).ToString()}) {
    EXPECT_TRUE(snapshotter_->Remove(key).ok());
  }
  EXPECT_THAT(Directories(), IsEmpty());
  EXPECT_THAT(images_.mounted, IsEmpty());
  EXPECT_THAT(images_.holds, IsEmpty());
}

TEST_F(SnapshotterTest, AppliedLayersAreImagesAndAnnouncedByTheirChain) {
  const oci::Digest first = Numbered(1);
  const oci::Digest second = oci::ChainId(first, Numbered(2));
  Pull(1, "k8s.io/1/" + first.ToString(), "");
  Pull(2, "k8s.io/2/" + second.ToString(), "k8s.io/1/" + first.ToString());
  EXPECT_EQ(images_.chains[first], ImageOf(1));
  EXPECT_EQ(images_.chains[second], ImageOf(2));
  EXPECT_EQ(images_.holds.size(), 2U);
  const Mount mount = PrepareOne("container", "k8s.io/2/" + second.ToString());
  EXPECT_THAT(mount.options, Contains("lowerdir=" + Path(2, "fs") + ":" + Path(1, "fs")));
  EXPECT_THAT(images_.mounted, ElementsAre(Path(1, "fs"), Path(2, "fs")));
  const auto never = [] { return false; };
  EXPECT_EQ(*snapshotter_->Measure("k8s.io/1/" + first.ToString(), never), (Usage{1234, 5}));
}

TEST_F(SnapshotterTest, NamesThatAreNotTheChainAreNotAnnounced) {
  Pull(1, "a-name", "");
  Pull(2, Numbered(9).ToString(), "a-name");
  EXPECT_THAT(images_.chains, IsEmpty());
}

TEST_F(SnapshotterTest, WhatIsAppliedIsSeenBeforeItIsCommitted) {
  Pull(1, "base", "");
  const Result<Snapshot> target = snapshotter_->FindTarget({PrepareOne("a", "base")});
  ASSERT_TRUE(snapshotter_->SetImage(*target, ImageOf(2)).ok());
  const Mount mount = snapshotter_->Mounts("a")->front();
  EXPECT_THAT(mount.options, Contains("lowerdir=" + Path(2, "fs") + ":" + Path(1, "fs")));
  EXPECT_THAT(mount.options, Contains("upperdir=" + Path(2, "up")));
  // What is written over it would be lost.
  os::testing::WriteFile(Path(2, "up/file"), "precious");
  EXPECT_EQ(snapshotter_->Commit({"c", "a", "", {}}).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(os::testing::ReadFile(Path(2, "up/file")), "precious");
  EXPECT_EQ(snapshotter_->Stat("a")->kind, Kind::kActive);
}

TEST_F(SnapshotterTest, LayersAreAppliedToEmptySnapshotsOfOursAlone) {
  const auto code = [&](const Mount& mount) {
    return snapshotter_->FindTarget({mount}).status().code();
  };
  const Mount empty = PrepareOne("a", "");
  EXPECT_EQ(code(empty), StatusCode::kOk);
  EXPECT_EQ(code({"bind", "/elsewhere/1/fs", {"rw"}}), StatusCode::kUnimplemented);
  EXPECT_EQ(code({"bind", Path(7, "fs"), {"rw"}}), StatusCode::kUnimplemented);
  EXPECT_EQ(code({"bind", Path(1, "fs/../fs"), {"rw"}}), StatusCode::kUnimplemented);
  EXPECT_EQ(code({"bind", Path(1, "work"), {"rw"}}), StatusCode::kUnimplemented);
  EXPECT_EQ(code({"bind", Path(1, "fs"), {"ro"}}), StatusCode::kUnimplemented);
  EXPECT_EQ(snapshotter_->FindTarget({}).status().code(), StatusCode::kUnimplemented);
  os::testing::WriteFile(Path(1, "fs/file"), "x");
  EXPECT_EQ(code(empty), StatusCode::kUnimplemented);
  ASSERT_TRUE(snapshotter_->Commit({"c", "a", "", {}}).ok());
  EXPECT_EQ(code(empty), StatusCode::kUnimplemented);
}

TEST_F(SnapshotterTest, WhatIsInThePoolIsNotPulled) {
  const std::string chain = Numbered(7).ToString();
  const Labels labels = {{"containerd.io/snapshot.ref", chain}, {"containerd.io/snapshot/x", "y"}};
  PrepareOne("extract-1", "", labels);  // nobody has placed it
  images_.chains[Numbered(7)] = ImageOf(7);
  for (int time = 0; time < 2; ++time) {
    EXPECT_EQ(snapshotter_->Prepare("extract-2", "", labels).status().code(),
              StatusCode::kAlreadyExists);
    const Result<std::vector<Info>> found = snapshotter_->List(
        {"labels.\"containerd.io/snapshot.ref\"==" + chain + ",parent==\"\",kind==committed"});
    ASSERT_EQ(found->size(), 1U);
    EXPECT_EQ(found->front().labels, labels);
    EXPECT_EQ(snapshotter_->Stat("extract-2").status().code(), StatusCode::kNotFound);
    Reopen();
  }
  EXPECT_EQ(images_.holds.size(), 1U);
  EXPECT_EQ(found_, 1) << "the second was there already";
  // Over another parent it is another snapshot.
  PrepareOne("p-active", "");
  ASSERT_TRUE(snapshotter_->Commit({"p", "p-active", "", {}}).ok());
  EXPECT_EQ(snapshotter_->Prepare("extract-3", "p", labels).status().code(),
            StatusCode::kAlreadyExists);
  EXPECT_EQ(snapshotter_->List({"parent==p,kind==committed"})->size(), 1U);
}

TEST_F(SnapshotterTest, WhereTheParentIsSaidLaterALayerIsStaged) {
  const oci::Digest first = Numbered(1);
  const oci::Digest second = oci::ChainId(first, Numbered(2));
  const Labels labels = {{"containerd.io/snapshot.ref", second.ToString()},
                         {"containerd.io/snapshot/parent-chain-id", first.ToString()}};
  EXPECT_THAT(PrepareOne("missed", "", labels).options, Contains("rw"));
  Pull(1, "p", "");
  images_.chains[second] = ImageOf(2);
  EXPECT_EQ(PrepareOne("staged", "", labels), (Mount{"bind", Path(3, "fs"), {"ro", "rbind"}}));
  ASSERT_TRUE(snapshotter_->Commit({"c/" + second.ToString(), "staged", "p", labels}).ok());
  EXPECT_EQ(snapshotter_->Stat("c/" + second.ToString())->parent, "p");
  EXPECT_THAT(PrepareOne("container", "c/" + second.ToString()).options,
              Contains("lowerdir=" + Path(3, "fs") + ":" + Path(2, "fs")));
  const auto is_lowest = [this](const Mount& mount) {
    return Snapshotter::IsLowest(*snapshotter_->FindTarget({mount}));
  };
  images_.chains.clear();
  EXPECT_FALSE(is_lowest(PrepareOne("later", "", labels)));
  EXPECT_FALSE(is_lowest(PrepareOne("over", "p")));
  EXPECT_TRUE(is_lowest(PrepareOne("lowest", "")));
}

TEST_F(SnapshotterTest, WhatIsStagedAndCannotBeMountedLeavesNothing) {
  images_.chains[Numbered(2)] = ImageOf(2);
  images_.mount_fails = UnavailableError("no more processes");
  EXPECT_EQ(snapshotter_
                ->Prepare("staged", "",
                          {{"containerd.io/snapshot.ref", Numbered(2).ToString()},
                           {"containerd.io/snapshot/parent-chain-id", Numbered(1).ToString()}})
                .status()
                .message(),
            "no more processes");
  EXPECT_EQ(snapshotter_->Stat("staged").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(images_.Held(), 0U);
}

TEST_F(SnapshotterTest, WithoutThePoolOneIsPulledAsEver) {
  const Labels labels = {{"containerd.io/snapshot.ref", Numbered(7).ToString()}};
  images_.chains[Numbered(7)] = ImageOf(7);
  images_.fails = Status(StatusCode::kUnavailable, "no pool");
  EXPECT_EQ(PrepareOne("extract-1", "", labels).type, "bind");
  images_.fails = Status::Ok();
  images_.hold_fails = NotFoundError("collected meanwhile");
  EXPECT_EQ(PrepareOne("extract-2", "", labels).type, "bind");
  EXPECT_THAT(*snapshotter_->List({"kind==committed"}), IsEmpty());
  EXPECT_THAT(Directories(), ElementsAre("1", "2"));
  EXPECT_EQ(PrepareOne("extract-3", "", {{"containerd.io/snapshot.ref", "no digest"}}).type,
            "bind");
}

TEST_F(SnapshotterTest, APrepareThatCannotMountLeavesNothing) {
  Pull(1, "base", "");
  images_.fails = NotFoundError("the image has gone");
  EXPECT_EQ(snapshotter_->Prepare("a", "base", {}).status().message(), "the image has gone");
  EXPECT_EQ(snapshotter_->Stat("a").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(Directories(), ElementsAre("1"));
  images_.fails = Status::Ok();
  PrepareOne("a", "base");
}

TEST_F(SnapshotterTest, WhatACrashLeftGoesAndItsNumberIsNotGiven) {
  PrepareOne("a", "");
  Pull(2, "c", "");
  ASSERT_TRUE(os::MakeDirectory(Path(3, ""), 0700).ok());  // its transaction was not committed
  ASSERT_TRUE(os::MakeDirectory(Path(3, "fs"), 0700).ok());
  const std::string instance = images_.holds.begin()->first.substr(0, 17);
  images_.holds[instance + "9"] = ImageOf(9);
  images_.holds["another/2"] = ImageOf(2);
  Reopen();
  EXPECT_THAT(Directories(), ElementsAre("1", "2"));
  EXPECT_EQ(images_.holds.size(), 2U);
  EXPECT_EQ(PrepareOne("b", "").source, Path(4, "fs"));
  EXPECT_THAT(Directories(), ElementsAre("1", "2", "4"));
}

TEST_F(SnapshotterTest, WhatALostDatabaseHeldIsDropped) {
  Pull(1, "base", "");
  images_.holds["another/1"] = ImageOf(2);
  snapshotter_.reset();
  for (const char* file : {"snapshots.db", "snapshots.db-wal", "snapshots.db-shm"}) {
    ::unlink(scratch_.Path(file).c_str());
  }
  Reopen();
  EXPECT_EQ(images_.holds.size(), 1U);
  Pull(1, "base", "");
  EXPECT_EQ(images_.holds.size(), 2U);
}

TEST_F(SnapshotterTest, AnImageThatDoesNotBecomeALayerIsNotHeld) {
  const Result<Snapshot> target = snapshotter_->FindTarget({PrepareOne("a", "")});
  ASSERT_TRUE(target.ok());
  ASSERT_TRUE(os::RemoveTree(Path(1, "")).ok());
  EXPECT_EQ(snapshotter_->SetImage(*target, ImageOf(1)).code(), StatusCode::kNotFound);
  EXPECT_THAT(images_.holds, IsEmpty());
}

TEST_F(SnapshotterTest, APrepareThatFailsLateRemovesItsOwnAlone) {
  Pull(1, "base", "");
  images_.mounted.clear();
  images_.room = 0;
  bool once = false;
  images_.when_full = [&] {
    if (std::exchange(once, true)) return;
    EXPECT_TRUE(snapshotter_->Remove("a").ok());
    EXPECT_EQ(PrepareOne("a", "").source, Path(3, "fs"));
  };
  EXPECT_EQ(snapshotter_->Prepare("a", "base", {}).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(snapshotter_->Mounts("a")->front().source, Path(3, "fs"));
}

TEST_F(SnapshotterTest, LeftoversWhileItRunsAreReplaced) {
  ASSERT_TRUE(os::MakeDirectory(Path(1, ""), 0700).ok());
  os::testing::WriteFile(Path(1, "fs"), "a file where a directory belongs");
  EXPECT_EQ(PrepareOne("a", "").source, Path(1, "fs"));
}

TEST_F(SnapshotterTest, OneProcessHasTheRoot) {
  EXPECT_EQ(Snapshotter::Open({scratch_.path(), {}}, images_, log_).status().code(),
            StatusCode::kAlreadyExists);
}

TEST_F(SnapshotterTest, RootsOfMappedContainersBelongToTheirRoot) {
  const std::string uid = std::to_string(::getuid());
  const std::string gid = std::to_string(::getgid());
  PrepareOne("a", "",
             {{"containerd.io/snapshot/uidmapping", "0:" + uid + ":1"},
              {"containerd.io/snapshot/gidmapping", "0:" + gid + ":1"}});
  const Labels wrong = {{"containerd.io/snapshot/uidmapping", "1:2:3"}};
  EXPECT_EQ(snapshotter_->Prepare("b", "", wrong).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(snapshotter_->Stat("b").status().code(), StatusCode::kNotFound);
}

TEST_F(SnapshotterTest, WhatIsRemovedHoldsNothingWhateverItsDirectoryWaitsFor) {
  Pull(1, "chain1", "");
  ASSERT_EQ(images_.Held(), 1U);
  images_.unmount_fails = UnavailableError("busy");
  EXPECT_TRUE(snapshotter_->Remove("chain1").ok());
  EXPECT_EQ(images_.Held(), 0U);
  EXPECT_THAT(Directories(), ElementsAre("1"));
  images_.unmount_fails = Status::Ok();
  EXPECT_THAT(Directories(), IsEmpty());
}

TEST_F(SnapshotterTest, MountsWithoutRoomWaitForWhatIsRemoved) {
  images_.room = 1;
  Pull(1, "chain1", "");
  Pull(2, "chain2", "");
  PrepareOne("b", "chain1");
  EXPECT_EQ(snapshotter_->Prepare("c", "chain2", {}).status().code(),
            StatusCode::kResourceExhausted);
  std::unique_lock unmounting(images_.unmounting);
  for (const char* key : {"b", "chain1"}) ASSERT_TRUE(snapshotter_->Remove(key).ok());
  images_.when_full = [&] { unmounting.unlock(); };
  PrepareOne("c", "chain2");
  EXPECT_THAT(images_.mounted, ElementsAre(Path(2, "fs")));
}

TEST_F(SnapshotterTest, WhoRemovesQuickerThanMountsGoIsSlowedDown) {
  constexpr int kAll = 40;
  for (int i = 0; i < kAll; ++i) PrepareOne(std::to_string(i), "");
  std::atomic<int> removed = 0;
  std::unique_lock unmounting(images_.unmounting);
  std::thread removing([&] {
    for (int i = 0; i < kAll; ++i) {
      EXPECT_TRUE(snapshotter_->Remove(std::to_string(i)).ok());
      ++removed;
    }
  });
  EXPECT_TRUE(os::testing::WaitUntil([&] { return removed >= 32; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // so that it could go on
  EXPECT_EQ(removed, 32);
  unmounting.unlock();
  removing.join();
}

TEST_F(SnapshotterTest, HoldsThatWereLostAreTakenAgain) {
  Pull(1, "chain1", "");
  PrepareOne("container", "chain1");
  const std::map<std::string, LayerImage> before = images_.holds;
  ASSERT_EQ(before.size(), 1U);
  ASSERT_THAT(images_.mounted, ElementsAre(Path(1, "fs")));
  images_.Lose(false);
  images_.mounted.insert("stale");  // nobody else's mount is touched
  EXPECT_TRUE(snapshotter_->Mounts("container").ok());
  EXPECT_EQ(images_.holds, before);
  EXPECT_THAT(images_.mounted, ElementsAre(Path(1, "fs"), "stale"));
  EXPECT_THAT(images_.restored_over, IsEmpty());
}

TEST_F(SnapshotterTest, WhatWasMountedOfALostPoolIsNotUsed) {
  Pull(1, "chain1", "");
  PrepareOne("container", "chain1");
  images_.Lose(false);
  images_.hold_fails = UnavailableError("not yet");
  images_.fails = UnavailableError("not yet");
  EXPECT_EQ(snapshotter_->Mounts("container").status().code(), StatusCode::kUnavailable);
  images_.fails = images_.hold_fails = Status::Ok();
  EXPECT_TRUE(snapshotter_->Mounts("container").ok());
  EXPECT_THAT(images_.mounted, ElementsAre(Path(1, "fs")));
}

TEST_F(SnapshotterTest, LayersThatHaveGoneArePlacedAgainTheLowestFirst) {
  Pull(1, "chain1", "");
  Pull(2, "chain2", "chain1");
  PrepareOne("container", "chain2");
  images_.Lose(true);
  const Result<std::vector<Mount>> mounts = snapshotter_->Mounts("container");
  ASSERT_TRUE(mounts.ok()) << mounts.status().message();
  EXPECT_THAT(images_.restored_over, ElementsAre(IsEmpty(), ElementsAre(Path(1, "fs"))));
  EXPECT_EQ(images_.holds.size(), 2U);
  EXPECT_THAT(images_.mounted, ElementsAre(Path(1, "fs"), Path(2, "fs")));
}

TEST_F(SnapshotterTest, APoolThatChangesWhileLayersArePlacedAgainIsSettledOnceMore) {
  Pull(1, "chain1", "");
  Pull(2, "chain2", "chain1");
  PrepareOne("container", "chain2");
  images_.gone.insert(ImageOf(2).root);
  images_.restore_fails = UnavailableError("not yet");
  images_.Lose(false);
  EXPECT_EQ(snapshotter_->Mounts("container").status().code(), StatusCode::kUnavailable);
  while (snapshotter_->IsRestoring(1) || snapshotter_->IsRestoring(2)) std::this_thread::yield();
  ASSERT_EQ(images_.mounted_of[Path(1, "fs")], 2U);
  images_.restore_fails = Status::Ok();
  images_.changes_when_held = true;
  Status mounts = UnavailableError("not asked yet");
  for (int i = 0; i < 100 && mounts.code() == StatusCode::kUnavailable; ++i) {
    mounts = snapshotter_->Mounts("container").status();
  }
  ASSERT_TRUE(mounts.ok()) << mounts.message();
  EXPECT_EQ(images_.joined, 3U);
  EXPECT_EQ(images_.mounted_of[Path(1, "fs")], 3U) << "it is of a pool that has gone";
  EXPECT_EQ(images_.mounted_of[Path(2, "fs")], 3U);
  EXPECT_EQ(images_.Held(), 2U);
}

TEST_F(SnapshotterTest, AnImageThatCameOutOtherwiseIsWhatTheSnapshotHas) {
  Pull(1, "chain1", "");
  images_.Lose(true);
  images_.another_root = Numbered(77);
  EXPECT_TRUE(snapshotter_->Prepare("container", "chain1", {}).ok());
  Reopen();
  ASSERT_EQ(images_.holds.size(), 1U);
  EXPECT_EQ(images_.holds.begin()->second.root, Numbered(77));
}

TEST_F(SnapshotterTest, ALayerNobodyHasIsNamedAndNothingIsLeftOfWhoAsked) {
  Pull(1, "chain1", "");
  PrepareOne("old", "chain1");
  images_.Lose(true);
  images_.restore_fails = NotFoundError("layer of image web: ctr content fetch web");
  const Status mounts = snapshotter_->Mounts("old").status();
  EXPECT_EQ(mounts.code(), StatusCode::kNotFound);
  EXPECT_THAT(mounts.message(), HasSubstr("content fetch web"));
  const Status prepared = snapshotter_->Prepare("new", "chain1", {}).status();
  EXPECT_EQ(prepared.code(), StatusCode::kNotFound);
  EXPECT_THAT(prepared.message(), HasSubstr("content fetch web"));
  EXPECT_EQ(snapshotter_->Stat("new").status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(snapshotter_->Remove("old").ok()) << "what is lost can be removed";
  images_.restore_fails = Status::Ok();
  EXPECT_TRUE(snapshotter_->Prepare("new", "chain1", {}).ok()) << "and had again later";
}

TEST_F(SnapshotterTest, WhatWasMountedIsMountedAgainAndNothingElse) {
  Pull(1, "mounted", "");
  Pull(2, "never", "");
  PrepareOne("container", "mounted");
  images_.Lose(false);
  PrepareOne("another", "");  // upon which the pool is settled
  while (snapshotter_->IsRestoring(1)) std::this_thread::yield();
  EXPECT_TRUE(images_.IsMounted(Path(1, "fs"))) << "somebody was told of it";
  EXPECT_FALSE(images_.IsMounted(Path(2, "fs")));
  EXPECT_EQ(images_.Held(), 2U);
}

TEST_F(SnapshotterTest, WhatIsRemovedWhileItIsPlacedAgainHoldsNothing) {
  Pull(1, "chain1", "");
  images_.while_restoring = [&](const std::function<bool()>& /*cancelled*/) {
    const Status removed = snapshotter_->Remove("chain1");
    static_cast<void>(snapshotter_->Cleanup());
    return removed;
  };
  images_.Lose(true);
  PrepareOne("another", "");  // upon which the pool is settled
  while (snapshotter_->IsRestoring(1)) std::this_thread::yield();
  EXPECT_EQ(images_.restored_over.size(), 1U);
  EXPECT_EQ(images_.Held(), 0U);
}

TEST_F(SnapshotterTest, WhatIsBeingPlacedAgainEndsWithTheDaemon) {
  Pull(1, "chain1", "");
  PrepareOne("container", "chain1");
  std::promise<void> begun;
  std::once_flag once;
  images_.while_restoring = [&](const std::function<bool()>& cancelled) -> Status {
    std::call_once(once, [&] { begun.set_value(); });
    while (!cancelled()) std::this_thread::yield();
    return CancelledError("nobody waits for it any more");
  };
  images_.Lose(true);
  std::future<Status> asked =
      std::async(std::launch::async, [&] { return snapshotter_->Mounts("container").status(); });
  begun.get_future().wait();
  snapshotter_->StopRestoring();
  EXPECT_EQ(asked.get().code(), StatusCode::kCancelled);
  snapshotter_.reset();
}

TEST_F(SnapshotterTest, NobodyEndsByAnExceptionWhilePoolsAreLookedAfter) {
  Pull(1, "chain1", "");
  images_.throws = true;
  while (images_.thrown < 2) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(snapshotter_->Stat("chain1").ok());
}

TEST_F(SnapshotterTest, NobodyHasToAskForWhatWasLost) {
  Pull(1, "chain1", "");
  images_.Lose(true);
  for (int i = 0; i < 300 && images_.Held() == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(images_.Held(), 1U);
}

}  // namespace
}  // namespace daxfs::snapshotter
