// SPDX-License-Identifier: Apache-2.0
// What a full pool says, and how there is room again.
#include <gmock/gmock.h>

#include <functional>
#include <thread>

#include "common/pool/obtain.hpp"
#include "common/pool/testing/pool_test.hpp"

namespace daxfs::pool::testing {
namespace {

using ::testing::HasSubstr;

TEST_F(PoolTest, FullSaysWhatItNeedsAndWhatCouldGo) {
  Make(8 * kMiB);
  const std::unique_ptr<Participant> one = Attach(1);
  { ASSERT_TRUE(Place(*one, Bytes(3 * kMiB, 1)).ok()); }
  const UsageView before = Seen(*one);
  const Result<Use> large = Place(*one, Bytes(5 * kMiB, 2));
  ASSERT_EQ(large.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(large.status().message(),
              HasSubstr("needs at least 6.0 MiB, and 2.0 MiB of 6.0 MiB were free"));
  EXPECT_THAT(large.status().message(), HasSubstr("1 object of 4.0 MiB is used by nobody"));
  EXPECT_THAT(large.status().message(), ::testing::Not(HasSubstr("too little")));
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
       {std::pair{std::size_t{1}, "needs 64.0 KiB, and 0 B of"},
        std::pair{std::size_t{2 * kMiB}, "needs 2.0 MiB, and 0 B of"}}) {
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
    EXPECT_THAT(full.message(), ::testing::Not(HasSubstr("resize")));
  }
}

// Objects without a name, each used once, the first longest ago.
std::vector<Ref> PlaceUnused(Participant& me, unsigned count, std::uint64_t bytes) {
  std::vector<Ref> refs;
  for (unsigned i = 0; i < count; ++i) {
    const Result<Use> use = PoolTest::Place(me, Bytes(bytes, i));
    EXPECT_TRUE(use.ok()) << use.status().ToString();
    refs.push_back(use->ref());
  }
  return refs;
}

// What a participant told that it collected.
struct Told {
  WhenCollected Teller() {
    return [this](const std::vector<Collected>& objects) {
      EXPECT_FALSE(objects.empty());
      for (const Collected& object : objects) gone.push_back(object.ref);
    };
  }
  std::vector<Ref> gone;
};

TEST_F(PoolTest, WhoMayMakesRoomAsMuchAsIsNeeded) {
  Make(16 * kMiB);
  const std::unique_ptr<Participant> me = Attach(1);
  const std::vector<Ref> unused = PlaceUnused(*me, 7, 2 * kMiB);
  ASSERT_EQ(Seen(*me).chunks_free, 0U);
  EXPECT_EQ(Place(*me, Bytes(3 * kMiB, 50)).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Seen(*me).rows_used, 7U) << "only who was told to does";
  Told told;
  me->CollectWhenFull(told.Teller());
  const Result<Use> kept = Place(*me, Bytes(3 * kMiB, 50));
  ASSERT_TRUE(kept.ok()) << kept.status().ToString();
  EXPECT_THAT(told.gone, ::testing::ElementsAre(unused[0], unused[1]));
  const Result<Use> small = Place(*me, Bytes(100, 51));
  ASSERT_TRUE(small.ok()) << small.status().ToString();
  EXPECT_EQ(told.gone.size(), 3U);
  EXPECT_EQ(ReadObject(*me, kept->ref()), Bytes(3 * kMiB, 50));
}

TEST_F(PoolTest, WhatIsUsedHeldOrBeingBuiltMakesNoRoom) {
  Make(12 * kMiB);
  const std::unique_ptr<Participant> me = Attach(1);
  const std::unique_ptr<Participant> other = Attach(2);
  Told told;
  me->CollectWhenFull(told.Teller());
  const Result<Use> used = Place(*other, Bytes(2 * kMiB, 1));
  const Ref held = [&] {
    const Result<Use> use = Place(*other, Bytes(2 * kMiB, 2));
    EXPECT_TRUE(other->Hold(*use, HoldKind::kSnapshot, "s").ok());
    return use->ref();
  }();
  const std::vector<Ref> unused = PlaceUnused(*me, 1, 2 * kMiB);
  const Result<std::unique_ptr<Building>> building = other->Begin(ObjectKind::kImage);
  ASSERT_TRUE(building.ok());
  ASSERT_TRUE((*building)->Write(0, Bytes(3 * kMiB, 7)).ok());
  ASSERT_EQ(Seen(*me).chunks_free, 0U);
  const Result<Use> fits = Place(*me, Bytes(2 * kMiB, 8));
  ASSERT_TRUE(fits.ok()) << fits.status().ToString();
  const Status full = Place(*me, Bytes(2 * kMiB, 9)).status();
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(full.message(), HasSubstr("in use or held"));
  EXPECT_EQ(told.gone, unused);
  EXPECT_EQ(ReadObject(*me, held), Bytes(2 * kMiB, 2));
  EXPECT_EQ(ReadObject(*me, used->ref()), Bytes(2 * kMiB, 1));
}

TEST_F(PoolTest, NothingGoesWhereAllOfItWereTooLittle) {
  Make(16 * kMiB);
  const std::unique_ptr<Participant> me = Attach(1);
  Told told;
  me->CollectWhenFull(told.Teller());
  const Result<Use> used = Place(*me, Bytes(10 * kMiB, 1));
  PlaceUnused(*me, 2, 2 * kMiB);
  const Result<std::unique_ptr<Building>> building = me->Begin(ObjectKind::kImage);
  ASSERT_TRUE(building.ok());
  EXPECT_EQ((*building)->Write(0, Bytes(6 * kMiB, 2)).code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(told.gone.empty());
  EXPECT_EQ(Seen(*me).collectable_objects, 2U);
}

// Chunks full of objects of an eighth; the first of each is used by `kept`.
void FillChunks(Participant& me, unsigned chunks, std::vector<Use>& kept) {
  constexpr unsigned kInOne = 8;
  for (unsigned i = 0; i < chunks * kInOne; ++i) {
    Result<Use> use = PoolTest::Place(me, Bytes(DAXFS_CHUNK_SIZE / kInOne, 1000 + i));
    ASSERT_TRUE(use.ok()) << use.status().ToString();
    if (i % kInOne == 0) kept.push_back(*std::move(use));
  }
}

TEST_F(PoolTest, SmallObjectsAreRoomForALargeOneOnlyIfAWholeChunkOfThemGoes) {
  Make(6 * kMiB);  // two chunks for objects
  const std::unique_ptr<Participant> me = Attach(1);
  Told told;
  me->CollectWhenFull(told.Teller());
  std::vector<Use> kept;
  ASSERT_EQ(Seen(*me).chunks, 2U);
  ASSERT_NO_FATAL_FAILURE(FillChunks(*me, 2, kept));
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(Place(*me, Bytes(2 * kMiB, 1)).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(told.gone.empty()) << "one of each chunk stays";
  kept.pop_back();
  const Result<Use> large = Place(*me, Bytes(2 * kMiB, 1));
  EXPECT_TRUE(large.ok()) << large.status().ToString();
  EXPECT_EQ(Place(*me, Bytes(2 * kMiB, 2)).status().code(), StatusCode::kResourceExhausted);
}

TEST_F(PoolTest, OneSmallUnusedObjectIsAChunk) {
  Make(6 * kMiB);
  const std::unique_ptr<Participant> me = Attach(1);
  Told told;
  me->CollectWhenFull(told.Teller());
  const Result<Use> used = Place(*me, Bytes(2 * kMiB, 1));
  PlaceUnused(*me, 1, 100);
  EXPECT_TRUE(Place(*me, Bytes(2 * kMiB, 2)).ok());
  EXPECT_EQ(told.gone.size(), 1U);
}

TEST_F(PoolTest, RowsAndAliasesAreRoomToo) {
  CreateOptions options;
  options.devices = {path_};
  options.replace = true;
  options.rows = 64;
  options.aliases = 64;
  ASSERT_TRUE(CreatePool(options).ok());
  const std::unique_ptr<Participant> me = Attach(1);
  Told told;
  me->CollectWhenFull(told.Teller());
  for (unsigned i = 0; i < 500; ++i) {
    const Key key{AliasKind::kDiffId, Sha256("layer" + std::to_string(i))};
    const Result<Obtained> had = Obtain(*me, key, [&](Building& building) -> Result<Digest> {
      const std::vector<std::byte> bytes = Bytes(100, i);
      RETURN_IF_ERROR(building.Write(0, bytes));
      RETURN_IF_ERROR(building.Seal(bytes.size()));
      return DigestOf(bytes);
    });
    ASSERT_TRUE(had.ok()) << i << ": " << had.status().ToString();
    ASSERT_TRUE(me->AddAlias(had->use, {AliasKind::kChain, Sha256(std::to_string(i))}).ok()) << i;
  }
  EXPECT_GE(told.gone.size(), 500U - 64U);
  EXPECT_EQ(ReadObject(*me, Place(*me, Bytes(100, 499))->ref()), Bytes(100, 499));
}

TEST_F(PoolTest, WhereWhatIsHeldFillsATableLittleGoesInVain) {
  CreateOptions options;
  options.devices = {path_};
  options.replace = true;
  options.rows = 512;
  options.aliases = 64;
  ASSERT_TRUE(CreatePool(options).ok());
  const std::unique_ptr<Participant> me = Attach(1);
  Told told;
  const Result<Use> use = Place(*me, Bytes(100, 1));
  Status full;
  for (int i = 0; i < 2000 && full.ok(); ++i) {
    full = me->AddAlias(*use, {AliasKind::kChain, Sha256(std::to_string(i))});
  }
  ASSERT_EQ(full.code(), StatusCode::kResourceExhausted);
  me->CollectWhenFull(told.Teller());
  full = Status::Ok();
  for (int i = 0; i < 2000 && full.ok(); ++i) {
    full = me->AddAlias(*use, {AliasKind::kDiffId, Sha256(std::to_string(i))});
  }
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(full.message(), HasSubstr("--aliases"));
}

TEST_F(PoolTest, ManyThatBuildInAFullPoolAllGoOn) {
  Make(32 * kMiB);
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      const std::unique_ptr<Participant> me = Attach(1 + thread % 2);
      me->CollectWhenFull([](const std::vector<Collected>&) {});
      for (unsigned i = 0; i < 40; ++i) {
        const std::vector<std::byte> bytes = Bytes(3 * kMiB, thread * 1000 + i);
        const Result<Use> use = Place(*me, bytes);
        ASSERT_TRUE(use.ok()) << use.status().ToString();
        ASSERT_EQ(ReadObject(*me, use->ref()), bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::unique_ptr<Participant> me = Attach(3);
  EXPECT_LE(me->Collect({}).size(), 7U);
  const UsageView after = Seen(*me);
  EXPECT_EQ(after.rows_used, 0U);
  EXPECT_EQ(after.chunks_free, after.chunks);
}

}  // namespace
}  // namespace daxfs::pool::testing
