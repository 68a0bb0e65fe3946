// SPDX-License-Identifier: Apache-2.0
// The pool's rules in small worlds: with all of them nothing goes wrong in any memory; with one
// left out something does.
#include <gtest/gtest.h>

#include <cstdio>

#include "explore.hpp"
#include "pool_world.hpp"

namespace daxfs::sim {
namespace {

constexpr Memory kMemories[] = {Memory::kSc, Memory::kTso, Memory::kWeak};

TEST(PoolSim, AllRulesAllInterleavings) {
  for (const auto& world : PoolWorlds(false)) {
    for (Memory memory : world->Memories()) {
      const Report report = Explore(*world, memory);
      std::printf("%-24s %-4s %8llu states %8llu schedules\n", world->Name().c_str(),
                  MemoryName(memory), static_cast<unsigned long long>(report.states),
                  static_cast<unsigned long long>(report.schedules));
      EXPECT_TRUE(report.complete) << world->Name();
      if (report.failure) {
        ADD_FAILURE() << report.failure->what << "\n"
                      << Trace(*world, memory, report.failure->path)
                      << PathText(report.failure->path);
      }
    }
  }
}

TEST(PoolSim, AllRulesByChance) {
  for (const auto& world : PoolWorlds(true)) {
    const Memory memory = world->Memories().back();
    const Report report = Sample(*world, memory, 1, 500);
    EXPECT_FALSE(report.failure.has_value())
        << world->Name() << " seed " << report.failure->seed << "\n"
        << Trace(*world, memory, report.failure->path);
  }
}

TEST(PoolSim, EachRuleLeftOutIsSeenAndReplayed) {
  daxfs_rules seen = 0;
  for (const Removal& removal : Removals()) {
    SCOPED_TRACE(removal.name);
    const Without rule(removal.rules);
    bool found = false;
    for (const auto& world : PoolWorlds(true)) {
      if (world->Name() != removal.world) continue;
      const Report report = Explore(*world, removal.memory);
      found = report.failure.has_value();
      ASSERT_TRUE(found) << "not needed in " << removal.world;
      EXPECT_EQ(report.failure->what, removal.failure);
      EXPECT_TRUE(Trace(*world, removal.memory, report.failure->path)
                      .ends_with(report.failure->what + "\n"));
      std::printf("without %-15s %-24s %-4s %8llu states: %s\n", removal.name, removal.world,
                  MemoryName(removal.memory), static_cast<unsigned long long>(report.states),
                  report.failure->what.c_str());
    }
    EXPECT_TRUE(found) << "no world " << removal.world;
    seen |= removal.rules;
  }
  for (int rule = DAXFS_RULE_NONE + 1; rule < DAXFS_RULE_COUNT; ++rule)
    EXPECT_TRUE((seen & RuleBit(static_cast<daxfs_rule>(rule))) != 0)
        << "no world needs rule " << rule;
}

// What docs/pool.md says of the collector's fence: the memory that shows it is the weak one alone.
TEST(PoolSim, TheCollectorsFenceIsNeededOnlyWhereASwapIsNone) {
  const Without rule(RuleBit(DAXFS_RULE_COLLECT_FENCE));
  for (const auto& world : PoolWorlds(false)) {
    if (world->Name() != "A-use-collect") continue;
    EXPECT_TRUE(Explore(*world, Memory::kSc).complete);
    EXPECT_TRUE(Explore(*world, Memory::kTso).complete);
    EXPECT_FALSE(Explore(*world, Memory::kWeak).complete);
  }
}

// States that slot 0 is off, whether it is or not, and goes on as if it were.
void StateOff(PoolWorld& world, uint32_t self) {
  daxfs_store(&world.pool().slots[0], daxfs_word_make(DAXFS_SLOT_DEAD, 0, 0));
  daxfs_sweep(&world.pool(), self, 0);
  daxfs_collect(&world.pool(), self, 0);
}

// A host stated to be off that is not: nothing in memory can save its objects, and the world sees
// that. Who collects falsely stated off does no harm: all it does are exact swaps.
TEST(PoolSim, AFalseStatementLosesALiveReadersObject) {
  const auto run = [](const char* name, PoolWorld::Program alive, bool ready) {
    PoolWorld world({.name = name,
                     .programs = {std::move(alive), StateOff,
                                  [](PoolWorld& w, uint32_t self) {
                                    w.AwaitRow(DAXFS_ROW_FREE);
                                    w.Build(self, 0, 1);
                                  }},
                     .rows = 2,
                     .ready = ready ? 1U : 0U});
    return Explore(world, Memory::kSc);
  };
  const auto reader = run(
      "reader", [](PoolWorld& w, uint32_t self) { w.Use(self, 1); }, true);
  ASSERT_TRUE(reader.failure.has_value());
  EXPECT_EQ(reader.failure->what, "the object of a reported use is gone");

  const auto writer = [](PoolWorld& w, uint32_t self) {
    __u64 generation = 0;
    if (daxfs_row_claim(&w.pool(), self, 0, &generation) != 0 ||
        daxfs_chunk_take(&w.pool(), 0, 0, generation) != 0)
      return;
    w.Pass(self);
    // It writes to chunk 0 now; another's live object may be there.
    if (daxfs_word_state(w.Raw(1)) == DAXFS_ROW_READY) w.Say(Wrong::kBytes);
  };
  EXPECT_TRUE(run("builder", writer, false).failure.has_value());

  const auto collector = [](PoolWorld& w, uint32_t self) { daxfs_collect(&w.pool(), self, 0); };
  const Report harmless = run("collector", collector, true);
  EXPECT_TRUE(harmless.complete) << harmless.failure->what;
}

// The order of the scan saves a hold taken under a use, and the hold's own look does: either is
// enough.
TEST(PoolSim, AHoldUnderAUseNeedsOneOfTwoRules) {
  for (const auto& world : PoolWorlds(false)) {
    if (world->Name() != "B-hold-under-use") continue;
    for (daxfs_rule rule : {DAXFS_RULE_COLLECT_ORDER, DAXFS_RULE_HOLD_RECHECK}) {
      const Without one(RuleBit(rule));
      for (Memory memory : kMemories) EXPECT_TRUE(Explore(*world, memory).complete);
    }
  }
}

}  // namespace
}  // namespace daxfs::sim
