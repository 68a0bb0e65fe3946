// SPDX-License-Identifier: Apache-2.0
// The pool's rules in small worlds: with all of them nothing goes wrong in any memory; with one
// left out something does.
#include <gtest/gtest.h>

#include <cstdio>
#include <set>

#include "explore.hpp"
#include "pool_world.hpp"

namespace daxfs::sim {
namespace {

constexpr Memory kMemories[] = {Memory::kSc, Memory::kTso, Memory::kWeak};

// Leaves a rule out as long as it lives.
class Without {
 public:
  explicit Without(daxfs_rule rule) { daxfs_sim_rule_left_out = rule; }
  ~Without() { daxfs_sim_rule_left_out = DAXFS_RULE_NONE; }
  Without(const Without&) = delete;
  Without& operator=(const Without&) = delete;
};

TEST(PoolSim, AllRulesAllInterleavings) {
  for (const auto& world : PoolWorlds(false)) {
    for (Memory memory : kMemories) {
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
    const Report report = Sample(*world, Memory::kWeak, 1, 500);
    EXPECT_FALSE(report.failure.has_value())
        << world->Name() << " seed " << report.failure->seed << "\n"
        << Trace(*world, Memory::kWeak, report.failure->path);
  }
}

TEST(PoolSim, EachRuleLeftOutIsSeenAndReplayed) {
  std::set<daxfs_rule> seen;
  for (const Removal& removal : Removals()) {
    SCOPED_TRACE(removal.name);
    const Without rule(removal.rule);
    bool found = false;
    for (const auto& world : PoolWorlds(false)) {
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
    seen.insert(removal.rule);
  }
  EXPECT_EQ(seen.size(), DAXFS_RULE_COUNT - 1U) << "a rule no world needs";
}

// What docs/pool.md says of the collector's fence: the memory that shows it is the weak one alone.
TEST(PoolSim, TheCollectorsFenceIsNeededOnlyWhereASwapIsNone) {
  const Without rule(DAXFS_RULE_COLLECT_FENCE);
  for (const auto& world : PoolWorlds(false)) {
    if (world->Name() != "A-use-collect") continue;
    EXPECT_TRUE(Explore(*world, Memory::kSc).complete);
    EXPECT_TRUE(Explore(*world, Memory::kTso).complete);
    EXPECT_FALSE(Explore(*world, Memory::kWeak).complete);
  }
}

// A host stated to be off that is not: nothing in memory can save its objects, and the world sees
// that.
TEST(PoolSim, AFalseStatementLosesALiveReadersObject) {
  PoolWorld world({.name = "false-fence",
                   .programs = {[](PoolWorld& w, uint32_t self) { w.Use(self, 1); },
                                [](PoolWorld& w, uint32_t self) {
                                  daxfs_store(&w.pool().slots[0],
                                              daxfs_word_make(DAXFS_SLOT_DEAD, 0, 0));
                                  daxfs_sweep(&w.pool(), self, 0);
                                  daxfs_collect(&w.pool(), self, 0);
                                }}});
  const Report report = Explore(world, Memory::kSc);
  ASSERT_TRUE(report.failure.has_value());
  EXPECT_EQ(report.failure->what, "the object of a reported use is gone");
}

}  // namespace
}  // namespace daxfs::sim
