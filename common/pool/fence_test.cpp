// SPDX-License-Identifier: Apache-2.0
// Hosts that are stated to be off, and who finds out.
#include <gmock/gmock.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "common/pool/check.hpp"
#include "common/pool/obtain.hpp"
#include "common/pool/testing/pool_test.hpp"

namespace daxfs::pool::testing {
namespace {

using ::testing::HasSubstr;

TEST_F(PoolTest, ARemoteHostsThingsStayUntilItIsFenced) {
  std::unique_ptr<Participant> far = Attach(2);
  const std::unique_ptr<Participant> near = Attach(1);
  Result<Use> use = Place(*far, Bytes(100, 1));
  ASSERT_TRUE(far->Hold(*use, HoldKind::kSnapshot, "s").ok());
  const HostView host = ViewOf(*far);
  const Ref ref = use->ref();
  use->ForgetForTesting();
  Kill(std::move(far));
  EXPECT_EQ(near->SweepLocal(), 0U);
  EXPECT_EQ(near->CollectOne(ref).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(near->Fence(near->host(), host.key).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(near->Fence(host.host, host.key).ok());
  EXPECT_EQ(near->Fence(host.host, host.key).code(), StatusCode::kNotFound);
  EXPECT_TRUE(near->CollectOne(ref).ok());
  EXPECT_EQ(ListHosts(near->memory()).size(), 1U);
}

TEST_F(PoolTest, AStatementIsAboutTheHostThatWasSeen) {
  const std::unique_ptr<Participant> me = Attach(1);
  std::unique_ptr<Participant> old = Attach(2);
  const HostView seen = ViewOf(*old);
  ASSERT_TRUE(me->Fence(seen.host, seen.key).ok());
  old.reset();
  const std::unique_ptr<Participant> next = Attach(3);
  ASSERT_EQ(next->host(), seen.host) << "the same number";
  EXPECT_EQ(me->Fence(seen.host, seen.key).code(), StatusCode::kNotFound);
  EXPECT_EQ(ListHosts(me->memory()).size(), 2U);
  EXPECT_EQ(ListSlots(me->memory()).size(), 2U);
}

// Directories of one file system, whose files follow each other: none proves another's owner dead.
TEST_F(PoolTest, AHalfStatementIsEndedByWhoeverFencesNext) {
  std::unique_ptr<Participant> old = Attach(2);
  const HostView seen = ViewOf(*old);
  EXPECT_FALSE(seen.leaving);
  daxfs_store(&old->memory().words().hosts[seen.host], daxfs_key_leaving(seen.key));
  old->DieForTesting();
  old.reset();
  std::unique_ptr<Participant> next = Attach(2);
  EXPECT_NE(next->host(), seen.host);
  const std::vector<HostView> hosts = ListHosts(next->memory());
  ASSERT_EQ(hosts.size(), 2U);
  EXPECT_TRUE(hosts[0].leaving);
  EXPECT_EQ(hosts[0].id, hosts[1].id);
  EXPECT_TRUE(FenceFrom(2, hosts[0], kShort).ok());
  EXPECT_EQ(FenceFrom(2, hosts[1], kShort).code(), StatusCode::kInvalidArgument);
  ASSERT_EQ(ListHosts(next->memory()).size(), 1U);
  EXPECT_EQ(ListSlots(next->memory()).size(), 1U) << "what was left is swept";
}

TEST_F(PoolTest, AHeartIsWatchedToTheEndOrUntilItBeats) {
  for (const int beat : {1, 3, 4}) {
    int looks = 0;
    EXPECT_EQ(Changes([&] { return ++looks > beat; }, kShort), beat <= 3) << beat;
    EXPECT_EQ(looks, std::min(beat, 3) + 1);
  }
}

TEST_F(PoolTest, AHostWhoseHeartBeatsIsNotFenced) {
  const std::unique_ptr<Participant> me = Attach(1);
  std::unique_ptr<Participant> other = Attach(2);
  const HostView host = ViewOf(*other);
  const std::uint32_t slot = other->slot();
  EXPECT_EQ(FenceFrom(1, ViewOf(*me), kLong).code(), StatusCode::kInvalidArgument);
  const Status alive = FenceFrom(1, host, kLong);
  EXPECT_EQ(alive.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(alive.message(), HasSubstr("is alive"));
  EXPECT_TRUE(other->FindName("none").ok()) << "not fenced";
  EXPECT_EQ(ListHosts(me->memory()).size(), 2U);
  Kill(std::move(other));
  // Its kernel, of which only the slot has a heart.
  std::atomic<bool> stop{false};
  std::thread kernel([&] {
    for (std::uint64_t now = 1; !stop; ++now) {
      daxfs_slot_heartbeat(&me->memory().words(), slot, now);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  EXPECT_EQ(FenceFrom(1, host, kLong).code(), StatusCode::kFailedPrecondition);
  stop = true;
  kernel.join();
  EXPECT_TRUE(FenceFrom(1, host, kShort).ok());
  EXPECT_EQ(FenceFrom(1, host, kShort).code(), StatusCode::kNotFound) << "another life";
}

TEST_F(PoolTest, AHostIsFencedAlsoWhereAllSlotsAreItsOwn) {
  Make(32 * kMiB, 2);
  std::vector<std::unique_ptr<Participant>> all;
  for (int i = 0; i < 2; ++i) all.push_back(Attach(2));
  const HostView off = ViewOf(*all[0]);
  Result<Use> use = Place(*all[0], Bytes(100, 1));
  ASSERT_TRUE(all[0]->Hold(*use, HoldKind::kSnapshot, "s").ok());
  const Ref ref = use->ref();
  use->ForgetForTesting();
  for (std::unique_ptr<Participant>& one : all) Kill(std::move(one));
  EXPECT_TRUE(FenceFrom(1, off, kShort).ok());
  const std::unique_ptr<Participant> me = Attach(1);
  EXPECT_EQ(ListHosts(me->memory()).size(), 1U);
  EXPECT_EQ(ListSlots(me->memory()).size(), 1U);
  EXPECT_TRUE(me->CollectOne(ref).ok());
}

TEST_F(PoolTest, WhoWasFencedWhileItBuiltTouchesNothingOfWhatIsThereNow) {
  const std::unique_ptr<Participant> fenced = Attach(2);
  const Result<std::unique_ptr<Building>> late = fenced->Begin(ObjectKind::kImage);
  ASSERT_TRUE((*late)->Write(0, Bytes(3 * kMiB, 1)).ok());
  ASSERT_TRUE((*late)->Seal(3 * kMiB).ok());
  const std::unique_ptr<Participant> other = Attach(1);
  for (const HostView& host : ListHosts(other->memory())) {
    if (host.host == other->host()) continue;
    ASSERT_TRUE(other->Fence(host.host, host.key).ok());
  }
  // All rows and all memory are others' then, those of the late one too.
  std::vector<Use> uses;
  for (unsigned seed = 2;; ++seed) {
    Result<Use> use = Place(*other, Bytes(3 * kMiB, seed));
    if (!use.ok()) break;
    uses.push_back(*std::move(use));
  }
  EXPECT_EQ((*late)->Publish(DigestOf(Bytes(3 * kMiB, 1))).status().code(), StatusCode::kAborted);
  for (unsigned i = 0; i < uses.size(); ++i) {
    EXPECT_EQ(ReadObject(*other, uses[i].ref()), Bytes(3 * kMiB, i + 2));
  }
}

TEST_F(PoolTest, WhoWasFencedLeavesTheSlotsNextOwnerAlone) {
  const std::unique_ptr<Participant> other = Attach(2);
  std::unique_ptr<Participant> fenced = Attach(1);
  std::optional<Use> old_use = *Place(*fenced, Bytes(100, 1));
  const std::uint32_t slot = fenced->slot();
  const HostView host = ViewOf(*fenced);
  ASSERT_TRUE(other->Fence(host.host, host.key).ok());
  const std::unique_ptr<Participant> next = Attach(3);
  ASSERT_EQ(next->slot(), slot);
  const Result<std::optional<Use>> use = next->Take(old_use->ref());
  ASSERT_TRUE(use.ok() && use->has_value());
  old_use.reset();
  fenced.reset();
  EXPECT_EQ(ListSlots(next->memory()).size(), 2U);
  EXPECT_TRUE(other->Collect({}).empty()) << "the next one uses it";
}

TEST_F(PoolTest, WhoWasFencedCanDoNothingAnyMore) {
  const std::unique_ptr<Participant> other = Attach(2);
  std::unique_ptr<Participant> fenced = Attach(1);
  std::optional<Use> use = *Place(*fenced, Bytes(100, 1));
  ASSERT_TRUE(fenced->Hold(*use, HoldKind::kAdmin, "held").ok());
  std::unique_ptr<Building> large = *fenced->Begin(ObjectKind::kImage);
  std::unique_ptr<Building> small = *fenced->Begin(ObjectKind::kImage);
  std::unique_ptr<Building> sealed = *fenced->Begin(ObjectKind::kImage);
  ASSERT_TRUE(small->Write(0, Bytes(100, 2)).ok());
  ASSERT_TRUE(sealed->Write(0, Bytes(100, 3)).ok() && sealed->Seal(100).ok());
  const HostView host = ViewOf(*fenced);
  ASSERT_TRUE(other->Fence(host.host, host.key).ok());
  const std::unique_ptr<Participant> next = Attach(3);
  ASSERT_EQ(next->slot(), fenced->slot());
  const Result<Use> kept = Place(*next, Bytes(100, 4));
  const UsageView before = Seen(*next);
  const HostView self = ViewOf(*next);
  const Key key{AliasKind::kRoot, DigestOf(Bytes(100, 4))};
  const std::vector<std::pair<const char*, std::function<Status()>>> kAll = {
      {"Begin", [&] { return fenced->Begin(ObjectKind::kImage).status(); }},
      {"Write", [&] { return large->Write(0, Bytes(3 * kMiB, 5)); }},
      {"Seal", [&] { return small->Seal(100); }},
      {"Publish", [&] { return sealed->Publish(Digest{}).status(); }},
      {"Find", [&] { return fenced->Find(key).status(); }},
      {"FindName", [&] { return fenced->FindName("web").status(); }},
      {"Take", [&] { return fenced->Take(kept->ref()).status(); }},
      {"AddAlias", [&] { return fenced->AddAlias(*use, key); }},
      {"SetName", [&] { return fenced->SetName(*use, "web"); }},
      {"RemoveName", [&] { return fenced->RemoveName("web"); }},
      {"Hold", [&] { return fenced->Hold(*use, HoldKind::kAdmin, "web"); }},
      {"DropHold", [&] { return fenced->DropHold(HoldKind::kAdmin, "web"); }},
      {"Announce", [&] { return fenced->Announce(Digest{}, use->ref()).status(); }},
      {"CollectOne", [&] { return fenced->CollectOne(use->ref()); }},
      {"Fence", [&] { return fenced->Fence(self.host, self.key); }},
  };
  for (const auto& [what, run] : kAll) {
    const Status said = run();
    EXPECT_EQ(said.code(), StatusCode::kAborted) << what << ": " << said.ToString();
    EXPECT_THAT(said.message(), HasSubstr("stated to be off")) << what;
  }
  EXPECT_EQ(fenced->DropHolds(HoldKind::kAdmin, "held"), 0U);
  EXPECT_EQ(fenced->SweepLocal(), 0U);
  EXPECT_TRUE(fenced->Collect({}).empty());
  use.reset();
  large.reset();
  small.reset();
  sealed.reset();
  fenced.reset();
  EXPECT_EQ(Seen(*next).rows_used, before.rows_used);
  EXPECT_EQ(Seen(*next).chunks_free, before.chunks_free);
  EXPECT_EQ(ListSlots(next->memory()).size(), 2U);
  EXPECT_EQ(next->CollectOne(kept->ref()).code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace daxfs::pool::testing
