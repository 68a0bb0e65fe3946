// SPDX-License-Identifier: Apache-2.0
#include "common/pool/testing/pool_test.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <set>
#include <thread>

#include "common/pool/check.hpp"
#include "common/pool/obtain.hpp"

namespace daxfs::pool::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(PoolTest, ObjectsOfAllSizesAreFoundByOthers) {
  const std::unique_ptr<Participant> builder = Attach(1);
  const std::unique_ptr<Participant> reader = Attach(2);
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{65536}, std::size_t{65537}, std::size_t{31 * 65536},
        std::size_t{31 * 65536 + 1}, std::size_t{2 * kMiB}, std::size_t{2 * kMiB + 1},
        std::size_t{7 * kMiB - 5}}) {
    SCOPED_TRACE(size);
    const std::vector<std::byte> bytes = Bytes(size, static_cast<unsigned>(size));
    const Result<Use> placed = Place(*builder, bytes);
    ASSERT_TRUE(placed.ok()) << placed.status().ToString();
    Result<std::optional<Use>> found = reader->Find({AliasKind::kRoot, DigestOf(bytes)});
    ASSERT_TRUE(found.ok() && found->has_value());
    EXPECT_EQ((*found)->ref(), placed->ref());
    EXPECT_EQ(ReadObject(*reader, (*found)->ref()), bytes);
  }
  const UsageView usage = Seen(*reader);
  EXPECT_EQ(usage.rows_used, 8U);
  EXPECT_EQ(usage.collectable_objects, 8U) << "uses of the loop are gone";
}

TEST_F(PoolTest, AnEqualObjectIsPlacedOnce) {
  const std::unique_ptr<Participant> one = Attach(1);
  const std::unique_ptr<Participant> two = Attach(2);
  const std::vector<std::byte> bytes = Bytes(3 * kMiB, 1);
  const Result<Use> first = Place(*one, bytes);
  const UsageView before = Seen(*one);
  const Result<Use> second = Place(*two, bytes);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->ref(), second->ref());
  EXPECT_EQ(Seen(*one).chunks_free, before.chunks_free);
}

TEST_F(PoolTest, NamesMoveAndHoldsStay) {
  const std::unique_ptr<Participant> one = Attach(1);
  const Ref old_ref = [&] {
    Result<Use> use = Place(*one, Bytes(100, 1));
    EXPECT_TRUE(one->SetName(*use, "web").ok());
    EXPECT_TRUE(one->Hold(*use, HoldKind::kAdmin, "web").ok());
    return use->ref();
  }();
  EXPECT_TRUE(one->Collect({}).empty()) << "it is held";
  {
    Result<Use> use = Place(*one, Bytes(100, 2));
    EXPECT_TRUE(one->SetName(*use, "web").ok());
    EXPECT_TRUE(one->Hold(*use, HoldKind::kAdmin, "web").ok());
    Result<std::optional<Use>> found = one->FindName("web");
    ASSERT_TRUE(found.ok() && found->has_value());
    EXPECT_EQ((*found)->ref(), use->ref());
  }
  const std::vector<Collected> collected = one->Collect({});
  ASSERT_EQ(collected.size(), 1U);
  EXPECT_EQ(collected.front().ref, old_ref);
  EXPECT_TRUE(one->RemoveName("web").ok());
  EXPECT_EQ(one->RemoveName("web").code(), StatusCode::kNotFound);
  EXPECT_TRUE(one->DropHold(HoldKind::kAdmin, "web").ok());
  EXPECT_EQ(one->Collect({}).size(), 1U);
  const UsageView usage = Seen(*one);
  EXPECT_EQ(usage.rows_used, 0U);
  EXPECT_EQ(usage.chunks_free, usage.chunks) << "the chunk of granules is whole again";
}

TEST_F(PoolTest, WhatAKilledBuilderHadIsFreeAtOnce) {
  std::unique_ptr<Participant> builder = Attach(1);
  const std::unique_ptr<Participant> local = Attach(1);
  const UsageView before = Seen(*local);
  Result<std::unique_ptr<Building>> building = builder->Begin(ObjectKind::kImage);
  ASSERT_TRUE((*building)->Write(0, Bytes(6 * kMiB, 1)).ok());
  ASSERT_TRUE(*builder->Announce(Digest{}, (*building)->ref()));
  EXPECT_LT(Seen(*local).chunks_free, before.chunks_free);
  (*building).release();  // NOLINT: as a killed process leaves it
  Kill(std::move(builder));
  EXPECT_EQ(local->SweepLocal(), 1U);
  const UsageView after = Seen(*local);
  EXPECT_EQ(after.chunks_free, before.chunks_free);
  EXPECT_EQ(after.rows_used, 0U);
  EXPECT_FALSE(local->FindBuilder(Digest{}).has_value());
}

TEST_F(PoolTest, WhetherSomethingIsThereIsNoUseOfIt) {
  const std::unique_ptr<Participant> me = Attach(1);
  const Key key{AliasKind::kRoot, DigestOf(Bytes(100, 1))};
  EXPECT_FALSE(*me->Has(key));
  Ref ref;
  { ref = Place(*me, Bytes(100, 1))->ref(); }
  daxfs_word* used = &me->memory().words().row_records[ref.row].used;
  daxfs_store(used, 1);
  EXPECT_TRUE(*me->Has(key));
  EXPECT_EQ(daxfs_load(used), 1U);
  ASSERT_TRUE(me->CollectOne(ref).ok());
  EXPECT_FALSE(*me->Has(key)) << "whatever still names it";
}

TEST_F(PoolTest, NoTwoLockFilesHaveOneMark) {
  std::vector<os::FileLock> locks;
  std::set<std::uint64_t> marks;
  for (int i = 0; i < 64; ++i) {
    Result<std::optional<os::FileLock>> lock =
        os::FileLock::Try(scratch_.path() + "/lock" + std::to_string(i));
    ASSERT_TRUE(lock.ok() && lock->has_value());
    marks.insert(LockMark(Host(1), **lock));
    locks.push_back(**std::move(lock));
  }
  EXPECT_EQ(marks.size(), locks.size());
}

// Who was stating it died half-way; the host itself begins anew meanwhile, and ends it.
TEST_F(PoolTest, WhatWasLostToOthersIsCountedAlsoOfThoseThatHaveGone) {
  const std::unique_ptr<Participant> me = Attach(1);
  std::unique_ptr<Participant> other = Attach(2);
  const Result<Use> use = Place(*me, Bytes(100, 1));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(other->CollectOne(use->ref()).code(), StatusCode::kFailedPrecondition);
  }
  other->CountWait();
  const HostView before = ViewOf(*other);
  other.reset();
  std::unique_ptr<Participant> again = Attach(2);
  EXPECT_EQ(again->CollectOne(use->ref()).code(), StatusCode::kFailedPrecondition);
  again.reset();
  Kill(Attach(2));
  const std::unique_ptr<Participant> last = Attach(2);  // which sweeps
  EXPECT_EQ(ViewOf(*last).contention[DAXFS_CONTENTION_UNDONE], 4U);
  EXPECT_EQ(ViewOf(*last).contention[DAXFS_CONTENTION_WAITS], 1U);
  EXPECT_EQ(ViewOf(*me).contention, Contention{});
  EXPECT_TRUE(me->Fence(before.host, before.key).ok());
  const std::unique_ptr<Participant> next = Attach(3);
  EXPECT_EQ(ViewOf(*next).contention, Contention{}) << "another host with the same number";
}

TEST_F(PoolTest, WhoFindsAllSlotsTakenByTheDeadOfItsHostTakesOneOver) {
  Make(32 * kMiB, 3);
  std::vector<std::unique_ptr<Participant>> all;
  for (int i = 0; i < 3; ++i) all.push_back(Attach(1));
  const UsageView before = Seen(*all[0]);
  Result<std::unique_ptr<Building>> building = all[0]->Begin(ObjectKind::kImage);
  ASSERT_TRUE((*building)->Write(0, Bytes(3 * kMiB, 1)).ok());
  (*building).release();  // NOLINT: as a killed process leaves it
  const Result<std::unique_ptr<Participant>> full =
      Participant::Attach(Open(), Host(1), "pool_test");
  EXPECT_EQ(full.status().code(), StatusCode::kResourceExhausted) << "all are alive";
  for (std::unique_ptr<Participant>& one : all) Kill(std::move(one));
  EXPECT_EQ(Participant::Attach(Open(), Host(2), "pool_test").status().code(),
            StatusCode::kResourceExhausted)
      << "another host cannot know";
  const std::unique_ptr<Participant> next = Attach(1);
  EXPECT_EQ(ListSlots(next->memory()).size(), 1U);
  EXPECT_EQ(Seen(*next).chunks_free, before.chunks_free);
  EXPECT_EQ(Seen(*next).rows_used, 0U);
  const std::unique_ptr<Participant> another = Attach(2);
}

TEST_F(PoolTest, OneOfManyBuilds) {
  constexpr int kThreads = 6;
  std::atomic<int> builds{0};
  std::vector<std::thread> threads;
  std::vector<Ref> refs(kThreads);
  const std::vector<std::byte> bytes = Bytes(5 * kMiB, 9);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const std::unique_ptr<Participant> me = Attach(i % 2 == 0 ? 1 : 2);
      const Key key{AliasKind::kDiffId, Sha256("layer")};
      const Build build = [&](Building& building) -> Result<Digest> {
        ++builds;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        RETURN_IF_ERROR(building.Write(0, bytes));
        RETURN_IF_ERROR(building.Seal(bytes.size()));
        return DigestOf(bytes);
      };
      const Result<Obtained> obtained = Obtain(*me, key, build);
      ASSERT_TRUE(obtained.ok()) << obtained.status().ToString();
      refs[static_cast<std::size_t>(i)] = obtained->use.ref();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(builds, 1);
  for (const Ref& ref : refs) EXPECT_EQ(ref, refs.front());
}

TEST_F(PoolTest, ABuilderThatStandsStillIsNotWaitedForForEver) {
  const std::unique_ptr<Participant> stalled = Attach(2);
  const std::unique_ptr<Participant> me = Attach(1);
  const Key key{AliasKind::kDiffId, Sha256("layer")};
  const Result<std::unique_ptr<Building>> building = stalled->Begin(ObjectKind::kImage);
  ASSERT_TRUE(*stalled->Announce(key.digest, (*building)->ref()));
  int waits = 0;
  ObtainOptions options;
  options.patience = std::chrono::milliseconds(100);
  options.waiting = [&](std::uint64_t) {
    ++waits;
    return Status::Ok();
  };
  const Build build = [](Building& mine) -> Result<Digest> {
    RETURN_IF_ERROR(mine.Write(0, Bytes(10, 1)));
    RETURN_IF_ERROR(mine.Seal(10));
    return DigestOf(Bytes(10, 1));
  };
  const Result<Obtained> obtained = Obtain(*me, key, build, options);
  ASSERT_TRUE(obtained.ok()) << obtained.status().ToString();
  EXPECT_EQ(obtained->how, How::kBuilt);
  EXPECT_GT(waits, 1);
}

TEST_F(PoolTest, TwoMachinesWithOneIdAreToldApart) {
  const std::unique_ptr<Participant> first = Attach(1);
  HostIdentity twin = Host(1);
  twin.boot = 78;
  twin.run_dir += "b";
  const Result<std::unique_ptr<Participant>> second = Participant::Attach(Open(), twin, "twin");
  ASSERT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), HasSubstr("is alive in it"));
}

TEST_F(PoolTest, AHostThatBootedAgainFindsItsOldParticipantsDead) {
  std::unique_ptr<Participant> before = Attach(1);
  Result<Use> use = Place(*before, Bytes(100, 1));
  use->ForgetForTesting();
  Kill(std::move(before));
  HostIdentity again = Host(1);
  again.boot = 78;
  again.run_dir += "b";
  const Result<std::unique_ptr<Participant>> second = Participant::Attach(Open(), again, "again");
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  EXPECT_EQ(ListSlots((*second)->memory()).size(), 1U);
  EXPECT_EQ((*second)->Collect({}).size(), 1U);
}

TEST_F(PoolTest, WhoSeesOtherLockFilesIsLetAlone) {
  const std::unique_ptr<Participant> first = Attach(1);
  const Result<Use> use = Place(*first, Bytes(100, 1));
  ASSERT_TRUE(use.ok());
  HostIdentity contained = Host(1);
  contained.run_dir += "b";
  Result<std::unique_ptr<Participant>> second = Participant::Attach(Open(), contained, "second");
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  EXPECT_EQ((*second)->SweepLocal(), 0U);
  EXPECT_TRUE((*second)->Collect({}).empty()) << "its user lives";
  EXPECT_EQ(ListSlots(first->memory()).size(), 2U);
}

TEST_F(PoolTest, ARepairDropsHoldsOfWhatIsGone) {
  const std::unique_ptr<Participant> me = Attach(1);
  const Result<Use> use = Place(*me, Bytes(100, 1));
  ASSERT_TRUE(me->Hold(*use, HoldKind::kAdmin, "gone").ok());
  ASSERT_TRUE(me->Hold(*use, HoldKind::kAdmin, "here").ok());
  const daxfs_pool& words = me->memory().words();
  daxfs_store(&words.hold_targets[0], daxfs_reference(use->ref().row, use->ref().generation + 1));
  for (const auto& [repairer, repaired] :
       {std::pair<Participant*, bool>{nullptr, false}, std::pair{me.get(), true}}) {
    const std::vector<Finding> findings = Check(me->memory(), repairer);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_THAT(findings.front().what, HasSubstr("hold \"gone\""));
    EXPECT_EQ(findings.front().repaired, repaired);
  }
  EXPECT_TRUE(Check(me->memory(), nullptr).empty());
  EXPECT_EQ(me->DropHolds(HoldKind::kAdmin, "here"), 1U);
}

TEST_F(PoolTest, NamesThatWouldMeanSomethingElseAreRefused) {
  const std::unique_ptr<Participant> me = Attach();
  const Result<Use> use = Place(*me, Bytes(100, 1));
  for (const char* name : {"", "a#0", "#", "sha256:web"}) {
    EXPECT_EQ(me->SetName(*use, name).code(), StatusCode::kInvalidArgument) << name;
  }
  EXPECT_TRUE(me->Hold(*use, HoldKind::kAdmin, "a#0").ok());
  EXPECT_EQ(me->DropHolds(HoldKind::kAdmin, "a"), 1U);
  EXPECT_EQ(me->DropHolds(HoldKind::kAdmin, "a"), 0U);
}

TEST_F(PoolTest, WhatIsNamedIsHeldWhoeverNamesAtOnce) {
  const std::unique_ptr<Participant> one = Attach();
  const std::unique_ptr<Participant> two = Attach();
  for (unsigned round = 0; round < 50; ++round) {
    const auto name = [&](Participant& me, unsigned seed) {
      const Result<Use> use = Place(me, Bytes(100, seed));
      EXPECT_TRUE(use.ok() && me.NameAndHold(*use, "web").ok());
    };
    std::thread other([&] { name(*two, 2 * round); });
    name(*one, 2 * round + 1);
    other.join();
    one->Collect({});
    const Result<std::optional<Use>> found = one->FindName("web");
    ASSERT_TRUE(found.ok() && found->has_value()) << round;
  }
}

TEST_F(PoolTest, WhatIsNoPoolIsRefused) {
  const std::string other = scratch_.path() + "/other";
  ASSERT_TRUE(os::MakeSharedFile(other, 4 * kMiB).ok());
  EXPECT_EQ(Memory::Open({other}, os::Access::kRead).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Memory::Open({path_, path_}, os::Access::kRead).status().code(),
            StatusCode::kInvalidArgument);
  CreateOptions options;
  options.devices = {path_};
  EXPECT_EQ(CreatePool(options).code(), StatusCode::kAlreadyExists);
  options.devices = {scratch_.path() + "/none"};
  EXPECT_THAT(CreatePool(options).message(), HasSubstr("--size SIZE makes a file"));
  options.devices = {other};
  options.rows = 1U << 24U;
  EXPECT_EQ(CreatePool(options).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Memory::Open({other}, os::Access::kRead).status().code(), StatusCode::kInvalidArgument)
      << "nothing was begun";
}

TEST_F(PoolTest, ChunksOfSeveralDevicesAreOnePool) {
  CreateOptions options;
  for (const char* name : {"/a", "/b", "/c"}) {
    options.devices.push_back(scratch_.path() + name);
    ASSERT_TRUE(os::MakeSharedFile(options.devices.back(), 8 * kMiB).ok());
  }
  ASSERT_TRUE(CreatePool(options).ok());
  EXPECT_THAT(
      Memory::Open({options.devices[0], options.devices[2]}, os::Access::kRead).status().message(),
      HasSubstr("is missing"));
  Result<std::unique_ptr<Memory>> memory = Memory::Open(
      {options.devices[2], options.devices[0], options.devices[1]}, os::Access::kWrite);
  ASSERT_TRUE(memory.ok()) << memory.status().ToString();
  const std::uint32_t chunks = (*memory)->info().chunk_count;
  EXPECT_EQ(chunks, 9U);
  Result<std::unique_ptr<Participant>> me =
      Participant::Attach(*std::move(memory), Host(1), "pool_test");
  const std::vector<std::byte> bytes = Bytes(chunks * 2 * kMiB, 3);
  const Result<Use> placed = Place(**me, bytes);
  ASSERT_TRUE(placed.ok()) << placed.status().ToString();
  EXPECT_EQ(ReadObject(**me, placed->ref()), bytes);
}

}  // namespace
}  // namespace daxfs::pool::testing
