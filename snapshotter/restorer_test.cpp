// SPDX-License-Identifier: Apache-2.0
// What a pool has lost comes back, and only that.
#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "snapshotter/testing/fake_images.hpp"

namespace daxfs::snapshotter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ImageOf;
using ::testing::IsEmpty;
using testing::Numbered;

class RestorerTest : public testing::SnapshotterTest {};

TEST_F(RestorerTest, HoldsThatWereLostAreTakenAgain) {
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

TEST_F(RestorerTest, WhatWasMountedOfALostPoolIsNotUsed) {
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

TEST_F(RestorerTest, LayersThatHaveGoneArePlacedAgainTheLowestFirst) {
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

TEST_F(RestorerTest, LayersThatAreMountedAgainWaitForRoomToo) {
  Pull(1, "chain1", "");
  Pull(2, "chain2", "");
  PrepareOne("container", "chain1");
  PrepareOne("other", "chain2");
  std::unique_lock unmounting(images_.unmounting);
  for (const char* key : {"other", "chain2"}) ASSERT_TRUE(snapshotter_->Remove(key).ok());
  images_.room = 1;
  images_.when_full = [&] {
    if (unmounting.owns_lock()) unmounting.unlock();  // it may be full more than once
  };
  {
    const std::lock_guard lock(images_.mutex);
    images_.gone.insert(ImageOf(1).root);
    images_.mounted.erase(Path(1, "fs"));
    images_.holds.clear();
  }
  ++images_.joined;
  const Result<std::vector<Mount>> mounts = snapshotter_->Mounts("container");
  ASSERT_TRUE(mounts.ok()) << mounts.status().message();
  EXPECT_TRUE(images_.IsMounted(Path(1, "fs")));
}

TEST_F(RestorerTest, APoolThatChangesWhileLayersArePlacedAgainIsSettledOnceMore) {
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

TEST_F(RestorerTest, AnImageThatCameOutOtherwiseIsWhatTheSnapshotHas) {
  Pull(1, "chain1", "");
  images_.Lose(true);
  images_.another_root = Numbered(77);
  EXPECT_TRUE(snapshotter_->Prepare("container", "chain1", {}).ok());
  Reopen();
  ASSERT_EQ(images_.holds.size(), 1U);
  EXPECT_EQ(images_.holds.begin()->second.root, Numbered(77));
}

TEST_F(RestorerTest, ALayerNobodyHasIsNamedAndNothingIsLeftOfWhoAsked) {
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

TEST_F(RestorerTest, WhatWasMountedIsMountedAgainAndNothingElse) {
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

TEST_F(RestorerTest, WhatIsRemovedWhileItIsPlacedAgainHoldsNothing) {
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

TEST_F(RestorerTest, WhatIsBeingPlacedAgainEndsWithTheDaemon) {
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

TEST_F(RestorerTest, NobodyEndsByAnExceptionWhilePoolsAreLookedAfter) {
  Pull(1, "chain1", "");
  images_.throws = true;
  while (images_.thrown < 2) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(snapshotter_->Stat("chain1").ok());
}

TEST_F(RestorerTest, NobodyHasToAskForWhatWasLost) {
  Pull(1, "chain1", "");
  images_.Lose(true);
  for (int i = 0; i < 300 && images_.Held() == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(images_.Held(), 1U);
}

}  // namespace
}  // namespace daxfs::snapshotter
