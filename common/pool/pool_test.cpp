// SPDX-License-Identifier: Apache-2.0
// Participants of one pool in a file: several in this process, as if they were several processes,
// and hosts that are told apart by their ids.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include "common/os/testing/scratch.hpp"
#include "common/pool/building.hpp"
#include "common/pool/check.hpp"
#include "common/pool/heart.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/obtain.hpp"
#include "common/pool/participant.hpp"
#include "common/pool/view.hpp"

namespace daxfs::pool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20U;

std::vector<std::byte> Bytes(std::size_t size, unsigned seed) {
  std::vector<std::byte> bytes(size);
  std::uint32_t value = seed * 2654435761U + 1;
  for (std::byte& b : bytes) {
    value = value * 1664525U + 1013904223U;
    b = static_cast<std::byte>(value >> 24U);
  }
  return bytes;
}

Digest DigestOf(std::span<const std::byte> bytes) {
  return Sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

class PoolTest : public testing::Test {
 protected:
  void SetUp() override { Make(32 * kMiB); }

  void Make(std::uint64_t size, std::uint32_t slots = 0) {
    path_ = scratch_.path() + "/pool";
    std::filesystem::remove(path_);
    ASSERT_TRUE(os::MakeSharedFile(path_, size).ok());
    CreateOptions options;
    options.devices = {path_};
    options.label = "test";
    options.slots = slots;
    const Status made = CreatePool(options);
    ASSERT_TRUE(made.ok()) << made.ToString();
  }

  HostIdentity Host(unsigned number) {
    HostIdentity host;
    host.id.fill(static_cast<std::byte>(number));
    host.name = "host" + std::to_string(number);
    host.boot = 77;
    host.run_dir = scratch_.path() + "/run" + std::to_string(number);
    return host;
  }

  std::unique_ptr<Memory> Open(os::Access access = os::Access::kWrite) {
    Result<std::unique_ptr<Memory>> memory = Memory::Open({path_}, access);
    EXPECT_TRUE(memory.ok()) << memory.status().ToString();
    return *std::move(memory);
  }

  std::unique_ptr<Participant> Attach(unsigned host = 1) {
    Result<std::unique_ptr<Participant>> joined =
        Participant::Attach(Open(), Host(host), "pool_test");
    EXPECT_TRUE(joined.ok()) << joined.status().ToString();
    return *std::move(joined);
  }

  // Leaves as a killed process does: nothing is undone.
  static void Kill(std::unique_ptr<Participant> participant) { participant->DieForTesting(); }

  static Result<Use> Place(Participant& participant, std::span<const std::byte> bytes) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Building> building,
                     participant.Begin(ObjectKind::kImage));
    RETURN_IF_ERROR(building->Write(0, bytes));
    RETURN_IF_ERROR(building->Seal(bytes.size()));
    ASSIGN_OR_RETURN(Building::Published published, building->Publish(DigestOf(bytes)));
    return std::move(published.use);
  }

  static constexpr Watch kShort{std::chrono::milliseconds(3), std::chrono::milliseconds(1)},
      kLong{std::chrono::minutes(1), std::chrono::milliseconds(1)};
  Status FenceFrom(unsigned self, const HostView& host, const Watch& watch) {
    return FenceTheStill(Open(), Host(self), "pool_test", host, watch);
  }

  static HostView ViewOf(const Participant& participant) {
    for (const HostView& host : ListHosts(participant.memory())) {
      if (host.host == participant.host()) return host;
    }
    return {};
  }

  // Everything there is to see, to be compared with before.
  static UsageView Seen(const Participant& participant) { return Usage(participant.memory()); }

  os::testing::Scratch scratch_;
  std::string path_;
};

std::vector<std::byte> ReadObject(Participant& participant, Ref ref) {
  Result<std::optional<Use>> use = participant.Take(ref);
  EXPECT_TRUE(use.ok() && use->has_value());
  const Result<Mapped> mapped = Mapped::Open(participant, **std::move(use));
  EXPECT_TRUE(mapped.ok()) << mapped.status().ToString();
  return {mapped->bytes().begin(), mapped->bytes().end()};
}

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

TEST_F(PoolTest, FullSaysWhatItNeedsAndWhatCouldGo) {
  Make(8 * kMiB);
  const std::unique_ptr<Participant> one = Attach(1);
  { ASSERT_TRUE(Place(*one, Bytes(3 * kMiB, 1)).ok()); }
  const UsageView before = Seen(*one);
  const Result<Use> large = Place(*one, Bytes(5 * kMiB, 2));
  ASSERT_EQ(large.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(large.status().message(),
              HasSubstr("needs at least 6.0 MiB and has 2.0 MiB of it, 0 B of 6.0 MiB are free"));
  EXPECT_THAT(large.status().message(), HasSubstr("1 object of 4.0 MiB is used by nobody"));
  EXPECT_THAT(large.status().message(), Not(HasSubstr("too little")));
  EXPECT_THAT(Place(*one, Bytes(7 * kMiB, 2)).status().message(), HasSubstr("2.0 MiB too little"));
  EXPECT_EQ(Seen(*one).chunks_free, before.chunks_free);
  EXPECT_EQ(Seen(*one).rows_used, 1U);
  EXPECT_EQ(one->Collect({.dry_run = true}).size(), 1U);
  EXPECT_EQ(Seen(*one).rows_used, 1U) << "a dry run changes nothing";
  EXPECT_EQ(one->Collect({}).size(), 1U);
  EXPECT_TRUE(Place(*one, Bytes(5 * kMiB, 2)).ok());
}

TEST_F(PoolTest, TheNeedIsExactWhereTheSizeIsKnown) {
  Make(8 * kMiB);
  const std::unique_ptr<Participant> me = Attach(1);
  const Result<Use> all = Place(*me, Bytes(6 * kMiB, 1));
  ASSERT_TRUE(all.ok());
  for (const auto& [size, needs] :
       {std::pair{std::size_t{1}, "needs 64.0 KiB and has 0 B"},
        std::pair{std::size_t{2 * kMiB}, "needs 2.0 MiB and has 0 B"}}) {
    const Status full = Place(*me, Bytes(size, 2)).status();
    EXPECT_THAT(full.message(), HasSubstr(needs));
    EXPECT_THAT(full.message(), HasSubstr("in use or held"));
  }
}

TEST_F(PoolTest, WhatATableLacksNoMemoryHelps) {
  CreateOptions options;
  options.devices = {path_};
  options.replace = true;
  options.rows = 64;
  options.aliases = 8;
  ASSERT_TRUE(CreatePool(options).ok());
  const std::unique_ptr<Participant> me = Attach(1);
  const Result<Use> use = Place(*me, Bytes(100, 1));
  std::vector<std::unique_ptr<Building>> buildings;
  const struct {
    std::function<Status(const std::string&)> take;
    const char *what, *advice, *option;
  } kCases[] = {
      {[&](const std::string& text) {
         return me->AddAlias(*use, {AliasKind::kChain, Sha256(text)});
       },
       "no room for another alias", "in use or held", "--aliases"},
      {[&](const std::string& text) { return me->SetName(*use, text); }, "no room for another name",
       "pool rm", "--rows"},
      {[&](const std::string& text) { return me->Hold(*use, HoldKind::kStage, text); },
       "all 96 holds are taken", "pool rm", "--rows"},
      {[&](const std::string&) {
         Result<std::unique_ptr<Building>> begun = me->Begin(ObjectKind::kImage);
         if (begun.ok()) buildings.push_back(*std::move(begun));
         return begun.status();
       },
       "all 64 rows for objects are taken", "in use or held", "--rows"},
  };
  for (const auto& test : kCases) {
    Status full;
    for (int i = 0; i < 2000 && full.ok(); ++i) full = test.take(std::to_string(i));
    EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
    EXPECT_THAT(full.message(), HasSubstr(test.what));
    EXPECT_THAT(full.message(), HasSubstr(test.advice));
    EXPECT_THAT(full.message(), HasSubstr(test.option));
    EXPECT_THAT(full.message(), Not(HasSubstr("resize")));
  }
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
}  // namespace daxfs::pool
