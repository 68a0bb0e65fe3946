// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/snapshotter.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <chrono>
#include <future>
#include <thread>

#include "common/os/file_tree.hpp"
#include "common/os/testing/mounts.hpp"
#include "snapshotter/testing/fake_images.hpp"

namespace daxfs::snapshotter {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::ImageOf;
using ::testing::IsEmpty;
using testing::Numbered;
using testing::SnapshotterTest;

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

TEST_F(SnapshotterTest, OfALayerThatIsThereAgainTheUppermostIsTaken) {
  Pull(1, "one", "");
  Pull(2, "two", "one");
  Pull(1, "three", "two");
  const Mount mount = PrepareOne("container", "three");
  EXPECT_THAT(mount.options, Contains("lowerdir=" + Path(3, "fs") + ":" + Path(2, "fs")));
  Pull(1, "four", "three");
  Pull(2, "five", "four");
  EXPECT_THAT(snapshotter_->View("view", "five", {})->front().options,
              ElementsAre("lowerdir=" + Path(6, "fs") + ":" + Path(5, "fs"), "index=off"));
  // What is applied may be a layer below, and then there is one.
  Pull(7, "base", "");
  Pull(7, "again", "base");
  EXPECT_EQ(snapshotter_->View("alone", "again", {})->front(),
            (Mount{"bind", Path(9, "fs"), {"ro", "rbind"}}));
}

TEST_F(SnapshotterTest, WhereADirectoryMayRedirectALayerIsThereAgain) {
  Pull(1, "one", "");
  PrepareOne("written", "one");
  ASSERT_TRUE(snapshotter_->Commit({"two", "written", "", {}}).ok());
  Pull(1, "three", "two");
  const std::string upper = "lowerdir=" + Path(3, "fs") + ":" + Path(2, "fs");
  snapshotter_->SetOverlayOptions({"redirect_dir=off", "metacopy=off"});
  EXPECT_THAT(snapshotter_->View("off", "three", {})->front().options, Contains(upper));
  snapshotter_->SetOverlayOptions({"redirect_dir=on"});
  EXPECT_THAT(snapshotter_->View("on", "three", {})->front().options,
              Contains(upper + ":" + Path(1, "fs")));
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

// An image may have taken attributes of what was below.
TEST_F(SnapshotterTest, OverOtherLayersAChainIsAnnouncedByNobody) {
  const oci::Digest first = Numbered(1);
  const oci::Digest second = oci::ChainId(first, Numbered(2));
  PrepareOne("files", "");
  ASSERT_TRUE(snapshotter_->Commit({"other", "files", "", {}}).ok());
  images_.chains = {{first, ImageOf(1)}};
  const Labels labels = {{"containerd.io/snapshot.ref", first.ToString()}};
  ASSERT_EQ(snapshotter_->Prepare("x", "other", labels).status().code(),
            StatusCode::kAlreadyExists);
  ASSERT_TRUE(snapshotter_->Stat(first.ToString()).ok());
  Pull(2, "1/" + second.ToString(), first.ToString());
  EXPECT_FALSE(images_.chains.contains(second));
}

TEST_F(SnapshotterTest, WhoSaysTheParentLaterAnnouncesWhatIsTheSameOverAll) {
  const oci::Digest first = Numbered(1);
  Pull(1, "p", "");
  for (const bool depends : {true, false}) {
    const auto number = static_cast<unsigned char>(depends ? 2 : 3);
    const oci::Digest chain = oci::ChainId(first, Numbered(number));
    if (depends) images_.implicit.insert(ImageOf(number).root);
    const Labels labels = {{"containerd.io/snapshot.ref", chain.ToString()},
                           {"containerd.io/snapshot/parent-chain-id", first.ToString()}};
    const Mount mount = PrepareOne("extract", "", labels);
    ASSERT_TRUE(snapshotter_->SetImage(*snapshotter_->FindTarget({mount}), ImageOf(number)).ok());
    ASSERT_TRUE(snapshotter_->Commit({"1/" + chain.ToString(), "extract", "p", labels}).ok());
    EXPECT_EQ(images_.chains.contains(chain), !depends);
  }
}

TEST_F(SnapshotterTest, WhatIsLostIsPulledAgain) {
  const Labels labels = {{"containerd.io/snapshot.ref", Numbered(7).ToString()}};
  images_.chains[Numbered(7)] = ImageOf(7);
  ASSERT_EQ(snapshotter_->Prepare("a", "", labels).status().code(), StatusCode::kAlreadyExists);
  images_.restore_fails = NotFoundError("nobody has it");
  images_.chains.clear();
  images_.Lose(true);
  EXPECT_TRUE(snapshotter_->Prepare("b", "", labels).ok());
  images_.gone.clear();  // somebody has placed it
  EXPECT_EQ(snapshotter_->Prepare("c", "", labels).status().code(), StatusCode::kAlreadyExists);
}

// A row may be on the disk before its directories are.
TEST_F(SnapshotterTest, WhatThePowerTookIsMadeAgain) {
  Pull(1, "layer", "");
  PrepareOne("over", "layer");
  const Mount applied = PrepareOne("applied", "");
  ASSERT_TRUE(snapshotter_->SetImage(*snapshotter_->FindTarget({applied}), ImageOf(2)).ok());
  PrepareOne("files-active", "");
  ASSERT_TRUE(snapshotter_->Commit({"files", "files-active", "", {}}).ok());
  const Result<std::vector<Mount>> view = snapshotter_->View("view", "files", {});
  ASSERT_TRUE(view.ok());
  const std::vector<Mount> before = *snapshotter_->Mounts("applied");
  snapshotter_.reset();
  images_.mounted.clear();
  for (const char* gone : {"1", "2", "3/up", "3/work", "4", "5"}) {
    ASSERT_TRUE(os::RemoveTree(scratch_.Path("snapshots/" + std::string(gone))).ok());
  }
  Reopen();
  EXPECT_TRUE(snapshotter_->Mounts("over").ok());
  EXPECT_EQ(*snapshotter_->Mounts("applied"), before);
  for (const std::string& there : {Path(1, ""), Path(2, "fs"), Path(2, "work"), Path(3, "up"),
                                   Path(3, "work"), Path(5, "fs")}) {
    EXPECT_EQ(::access(there.c_str(), F_OK), 0) << there;
  }
  // Nobody may take nothing for what it held.
  EXPECT_NE(::access(Path(4, "fs").c_str(), F_OK), 0);
}

TEST_F(SnapshotterTest, ACommitThatFailedMayHaveTakenADirectory) {
  const Mount applied = PrepareOne("applied", "");
  ASSERT_TRUE(snapshotter_->SetImage(*snapshotter_->FindTarget({applied}), ImageOf(2)).ok());
  ASSERT_TRUE(os::RemoveDirectory(Path(1, "up")).ok());
  ASSERT_TRUE(snapshotter_->Mounts("applied").ok());
  EXPECT_EQ(::access(Path(1, "up").c_str(), F_OK), 0);
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
  images_.when_full = [&] {
    if (unmounting.owns_lock()) unmounting.unlock();  // it may be full more than once
  };
  PrepareOne("c", "chain2");
  EXPECT_THAT(images_.mounted, ElementsAre(Path(2, "fs")));
}

TEST_F(SnapshotterTest, WhatIsRemovedWhileItIsMountedIsNotFound) {
  Pull(1, "chain1", "");
  PrepareOne("container", "chain1");
  ASSERT_TRUE(images_.Unmount(Path(1, "fs")).ok());
  images_.room = 0;
  images_.when_full = [&] { static_cast<void>(snapshotter_->Remove("container")); };
  EXPECT_EQ(snapshotter_->Mounts("container").status().code(), StatusCode::kNotFound);
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

}  // namespace
}  // namespace daxfs::snapshotter
