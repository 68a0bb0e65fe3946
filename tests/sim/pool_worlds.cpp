// SPDX-License-Identifier: Apache-2.0
// Worlds of rows, uses, holds, chunks, granules and sweeps.
#include "programs.hpp"

namespace daxfs::sim {
namespace {

const std::vector<Departure> kOff = {{0, Exit::kPowerOff}}, kStops = {{0, Exit::kStops}};

// Builds another row out of what row 0 had, from the moment its life is over.
void AwaitEnd(PoolWorld& world) {
  Machine::Current().Await([&world] { return daxfs_word_generation(world.Raw(0)) > 1; });
}

Program BuilderOfRow1(uint32_t chunk = 0) {
  return [chunk](PoolWorld& world, uint32_t self) {
    AwaitEnd(world);
    world.Build(self, chunk, 1);
  };
}

Program Holder() {
  return [](PoolWorld& world, uint32_t self) { world.Hold(self, 1); };
}

// Frees a chunk if its owner's life is over.
Program Finder(uint32_t chunk = 0) {
  return [chunk](PoolWorld& world, uint32_t) { daxfs_chunk_free_orphan(&world.pool(), chunk); };
}

constexpr daxfs_attacher kNoLock = {};

// Attaches to slot 0 when it is free, whoever had it, and takes a use.
Program Newcomer() {
  return [](PoolWorld& world, uint32_t) {
    world.AwaitSlot(0, DAXFS_SLOT_FREE);
    __u64 word = 0;
    if (daxfs_attach(&world.pool(), 0, &kNoLock, &word) == 0) world.Use(0, 1);
  };
}

// Leaves in order, so that the next one may come.
Program Leaver() {
  return [](PoolWorld& world, uint32_t self) {
    world.Use(self, 1);
    daxfs_detach(&world.pool(), self);
  };
}

// Sweeps a sweeper that died, then goes on with what that one was sweeping.
Program Heir() {
  return [](PoolWorld& world, uint32_t self) {
    world.AwaitSlot(1, DAXFS_SLOT_DEAD);
    daxfs_sweep(&world.pool(), self, 1);
    world.AwaitSlot(0, DAXFS_SLOT_DEAD);
    daxfs_sweep(&world.pool(), self, 0);
  };
}

// A use until the hold is there.
Program HolderUnderUse() {
  return [](PoolWorld& world, uint32_t self) {
    if (daxfs_use_take(&world.pool(), self, 0, 1) != 0) return;
    world.Reported(self, daxfs_reference(0, 1));
    __u64 word = 0;
    const bool held =
        daxfs_hold_take(&world.pool(), self, 0, &world.pool(), 0, 1, nullptr, &word) == 0;
    if (held) world.ReportedHold(daxfs_reference(0, 1));
    world.Reported(self, 0);
    daxfs_use_drop(&world.pool(), self, 0);
    if (!held) return;
    world.Pass(self);
    world.ReportedHold(0);
    daxfs_hold_drop(&world.pool(), 0, word);
  };
}

// Ghost 2 of these worlds is a lock of slot 0, as each participant has one of its own.
void Lock(PoolWorld& world) {
  if (!DAXFS_RULE(CALLER_LOCK)) return;
  world.AwaitGhost(2, 0);
  world.ghost(2) = 1;
}

// Whoever has the lock next sees what was stored under it.
void Unlock(PoolWorld& world) {
  if (DAXFS_RULE(CALLER_LOCK)) daxfs_fence();
  world.ghost(2) = 0;
}

// Two processes behind slot 0, each with a row of its own in the same word of uses.
Program RowOfItsOwn() {
  return [](PoolWorld& world, uint32_t self) {
    Lock(world);
    const int error = daxfs_use_take(&world.pool(), 0, self, 1);
    Unlock(world);
    if (error != 0) return;
    world.Reported(self, daxfs_reference(self, 1));
    world.Pass(0);
    world.Reported(self, 0);
    Lock(world);
    daxfs_use_drop(&world.pool(), 0, self);
    Unlock(world);
  };
}

// Two processes behind slot 0 that count their users of row 0 in scratch word 0.
Program Counted() {
  return [](PoolWorld& world, uint32_t self) {
    daxfs_word* count = world.scratch(0);
    Lock(world);
    const uint64_t before = daxfs_load(count);
    daxfs_store(count, before + 1);
    int error = before == 0 ? daxfs_use_take(&world.pool(), 0, 0, 1) : 0;
    if (error != 0) daxfs_store(count, before);
    Unlock(world);
    if (error != 0) return;
    world.Reported(self, daxfs_reference(0, 1));
    world.Pass(0);
    world.Reported(self, 0);
    Lock(world);
    const uint64_t users = daxfs_load(count);
    daxfs_store(count, users - 1);
    if (users == 1) daxfs_use_drop(&world.pool(), 0, 0);
    Unlock(world);
  };
}

// Has a use until the other says that it has one too: ghost 0, then ghost 1.
Program Donor() {
  return [](PoolWorld& world, uint32_t self) {
    if (daxfs_use_take(&world.pool(), self, 0, 1) != 0) return;
    world.Reported(self, daxfs_reference(0, 1));
    world.ghost(0) = 1;
    world.AwaitGhost(1, 1);
    world.Reported(self, 0);
    daxfs_use_drop(&world.pool(), self, 0);
  };
}

Program Recipient() {
  return [](PoolWorld& world, uint32_t self) {
    world.AwaitGhost(0, 1);
    int error = 0;
    if (DAXFS_RULE(CALLER_TAKES))
      error = daxfs_use_take(&world.pool(), self, 0, 1);
    else
      daxfs_store(&world.pool().uses[self], 1);
    if (error == 0) world.Reported(self, daxfs_reference(0, 1));
    world.ghost(1) = 1;
    if (error != 0) return;
    world.Pass(self);
    world.Reported(self, 0);
    daxfs_use_drop(&world.pool(), self, 0);
  };
}

// Slot 0 has a use all the time, so whoever looks has to get one as well.
Program Keeper() {
  return [](PoolWorld& world, uint32_t self) {
    world.AwaitGhost(0, 1);
    world.Reported(self, 0);
    daxfs_use_drop(&world.pool(), self, 0);
  };
}

Program SureReader() {
  return [](PoolWorld& world, uint32_t self) {
    const int error = daxfs_use_take(&world.pool(), self, 0, 1);
    if (error == -ENOENT) world.Say(Wrong::kMissed);
    if (error == 0) world.Report(self, self, daxfs_reference(0, 1));
    world.ghost(0) = 1;
  };
}

// Writes bytes as a builder does, past the caches, and publishes them before the row.
Program BytesBuilder() {
  return [](PoolWorld& world, uint32_t self) {
    uint64_t generation = 0;
    if (!world.Claim(self, 0, 0, &generation)) return;
    for (size_t i = 0; i < 2; ++i) Machine::Current().StoreLoose(world.scratch(i), 7);
    if (DAXFS_RULE(CALLER_PUBLISHES)) daxfs_publish(world.scratch(0), 16);
    if (daxfs_row_publish(&world.pool(), self, 0, generation) == 0)
      daxfs_use_drop(&world.pool(), self, 0);
  };
}

Program BytesReader() {
  return [](PoolWorld& world, uint32_t self) {
    if (daxfs_use_take(&world.pool(), self, 0, 1) != 0) return;
    for (size_t i = 0; i < 2; ++i)
      if (daxfs_load(world.scratch(i)) != 7) world.Say(Wrong::kBytes);
    daxfs_use_drop(&world.pool(), self, 0);
  };
}

// An object of granules in the split chunk 0.
Program GranuleBuilder(uint32_t row, uint32_t first, uint32_t count, bool after_row_0 = false) {
  return [=](PoolWorld& world, uint32_t self) {
    if (after_row_0) AwaitEnd(world);
    uint64_t generation = 0;
    if (!world.ClaimGranules(self, row, first, count, &generation)) return;
    if (daxfs_row_publish(&world.pool(), self, row, generation) != 0) return;
    daxfs_fence();
    world.Report(self, self, daxfs_reference(row, generation));
  };
}

// Merges chunk 0; who has it whole then uses it so.
Program Merger(bool builds = false) {
  return [builds](PoolWorld& world, uint32_t self) {
    if (daxfs_chunk_merge(&world.pool(), self, 0) == 0 && builds) world.Build(self, 0, 1);
  };
}

Program Splitter(uint32_t chunk) {
  return [chunk](PoolWorld& world, uint32_t) { daxfs_chunk_split(&world.pool(), chunk); };
}

void RowInGranule0(PoolWorld& world) {
  world.SetGranule(0, daxfs_reference(0, 1));
  world.Owns(0, 1, 1ULL << 16);
}

std::vector<PoolWorld::Spec> ReferenceSpecs() {
  return {
      {.name = "A-use-collect", .programs = {Reader(), Collector()}},
      {.name = "A-use-collect-rebuild", .programs = {Reader(), Collector(), Builder(1)}},
      {.name = "A2-use-collect-finish",
       .programs = {Reader(), Collector(2), Collector()},
       .large = true},
      {.name = "A-never-missed",
       .programs = {Keeper(), SureReader(), Collector()},
       .begin =
           [](PoolWorld& world) {
             world.SetUse(0, 0);
             world.Reported(0, daxfs_reference(0, 1));
           }},
      {.name = "B-hold-collect", .programs = {Holder(), Collector()}},
      {.name = "B-hold-under-use", .programs = {HolderUnderUse(), Collector()}},
      {.name = "B-two-holders", .programs = {Holder(), Holder(), Collector()}},
      {.name = "B-holder-dies",
       .programs = {Holder(), Collector(), Sweeper(0)},
       .departures = kDies},
      {.name = "B-hold-undone-dying",
       .programs = {Holder(), Collector(2)},
       .begin =
           [](PoolWorld& world) {
             world.OwnsNothing(0);
             world.SetOwner(0, 0);
           }},
      {.name = "A-undone-dying", .programs = {Reader(), Collector(2)}},
      {.name = "C-user-dies", .programs = {Reader(), Sweeper(0), Collector()}, .departures = kDies},
      {.name = "C-two-rows-one-word",
       .programs = {RowOfItsOwn(), RowOfItsOwn(), Collector()},
       .rows = 2,
       .ready = 2},
      {.name = "C-count-behind-a-bit", .programs = {Counted(), Counted(), Collector()}},
      {.name = "H-publish-collect", .programs = {Builder(), Collector()}, .ready = 0},
      {.name = "D-bytes", .programs = {BytesBuilder(), BytesReader()}, .ready = 0},
      {.name = "X-attach-collect", .programs = {Newcomer(), Collector()}, .attached = 0xfe},
      {.name = "X-leave-attach-collect", .programs = {Leaver(), Newcomer(), Collector()}},
      {.name = "Z-hand-over", .programs = {Recipient(), Donor(), Collector()}},
  };
}

std::vector<PoolWorld::Spec> DeathSpecs() {
  return {
      {.name = "G-builder-dies",
       .programs = {Builder(), Sweeper(0)},
       .departures = kDies,
       .ready = 0},
      {.name = "G-collector-dies",
       .programs = {Collector(), Sweeper(0), Reader()},
       .departures = kDies},
      {.name = "G-collector-off",
       .programs = {Collector(), Sweeper(0), Reader()},
       .departures = kOff},
      {.name = "G-builder-off",
       .programs = {Builder(), Sweeper(0)},
       .departures = kOff,
       .ready = 0},
      {.name = "X-two-sweepers",
       .programs = {Reader(), Sweeper(0, true), Sweeper(0), Newcomer()},
       .departures = kDies},
      {.name = "S-collector-stalls",
       .programs = {Collector(), Reader(), Collector()},
       .departures = kStops},
      {.name = "W-sweeper-dies",
       .programs = {Reader(), Sweeper(0), Heir()},
       .departures = {{0, Exit::kDies}, {1, Exit::kDies}}},
      {.name = "S-collector-stalls-rebuild",
       .programs = {Collector(), Reader(), Collector(), Builder(1)},
       .departures = kStops,
       .large = true},
      {.name = "A2-two-of-each",
       .programs = {Reader(), Reader(), Collector(), Collector()},
       .large = true},
      {.name = "P-use-hold-collect-rebuild",
       .programs = {Reader(), Holder(), Collector(), Builder(1)},
       .large = true},
      {.name = "P-collector-dies-rebuild",
       .programs = {Collector(), Sweeper(0, true), Holder(), Builder(1)},
       .departures = kDies,
       .large = true},
  };
}

std::vector<PoolWorld::Spec> ChunkSpecs() {
  return {
      {.name = "F-orphans", .programs = {Collector(), Builder(), Finder()}},
      {.name = "F-orphan-taken",
       .programs = {Builder(1), Finder(1)},
       .ready = 0,
       .begin = [](PoolWorld& world) { world.SetOwner(1, daxfs_reference(0, 0)); }},
      {.name = "P2-other-row-takes-orphan",
       .programs = {Collector(), BuilderOfRow1(), Reader()},
       .rows = 2},
      {.name = "P2-finder-too", .programs = {Collector(), BuilderOfRow1(), Finder()}, .rows = 2},
      {.name = "P2-collector-dies",
       .programs = {Collector(), BuilderOfRow1(), Sweeper(0)},
       .departures = kDies,
       .rows = 2},
      {.name = "P2-two-builders-one-orphan",
       .programs = {Collector(), BuilderOfRow1(), Builder()},
       .rows = 2},
      {.name = "P2-hold-collect-both",
       .programs = {Collector(), BuilderOfRow1(), Holder(), Collector(1, 1)},
       .rows = 2,
       .large = true},
      {.name = "P2-death-and-two-rows",
       .programs = {Collector(2), BuilderOfRow1(), Holder(), Sweeper(0, true)},
       .departures = kDies,
       .rows = 2,
       .endless = true},
      {.name = "M-split-or-take",
       .programs = {Splitter(1), Splitter(1),
                    [](PoolWorld& w, uint32_t self) { w.Build(self, 1); }},
       .ready = 0,
       .granules = true},
      {.name = "M-take-merge",
       .programs = {GranuleBuilder(0, 0, 1), Merger(true)},
       .rows = 2,
       .ready = 0,
       .granules = true},
      {.name = "M-take-take-merge",
       .programs = {GranuleBuilder(0, 0, 2), GranuleBuilder(1, 1, 1), Merger()},
       .rows = 2,
       .ready = 0,
       .granules = true,
       .large = true},
      {.name = "M-merger-dies",
       .programs = {Merger(), Sweeper(0), GranuleBuilder(0, 1, 1)},
       .departures = kDies,
       .ready = 0,
       .granules = true},
      {.name = "M-taker-dies",
       .programs = {GranuleBuilder(0, 0, 1), Sweeper(0), Merger(true)},
       .departures = kDies,
       .rows = 2,
       .ready = 0,
       .granules = true,
       .large = true},
      {.name = "M-collect-take-merge",
       .programs = {Collector(), GranuleBuilder(1, 0, 1, true), Merger()},
       .rows = 2,
       .granules = true,
       .large = true,
       .begin = RowInGranule0},
  };
}

}  // namespace

std::vector<PoolWorld::Spec> ObjectSpecs() {
  std::vector<PoolWorld::Spec> all;
  for (const auto& specs : {ReferenceSpecs(), SlotSpecs(), DeathSpecs(), ChunkSpecs()})
    all.insert(all.end(), specs.begin(), specs.end());
  return all;
}

}  // namespace daxfs::sim
