// SPDX-License-Identifier: Apache-2.0
// The simulator itself: what each memory may show, departures, replay.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "explore.hpp"
#include "litmus.hpp"

namespace daxfs::sim {
namespace {

using testing::HasSubstr;

struct Expected {
  bool sc, tso, weak;  // is the outcome to be seen?
};

const std::map<std::string, Expected>& Table() {
  static const std::map<std::string, Expected> table = {
      {"store-buffering", {false, true, true}},
      {"store-buffering-fenced", {false, false, false}},
      {"swap-buffering", {false, false, true}},
      {"swap-buffering-fenced", {false, false, false}},
      {"message-passing", {false, false, false}},
      {"message-passing-flag-first", {true, true, true}},
      {"double-swap", {false, false, false}},
      {"swap-over-store", {false, false, false}},
      {"lost-update", {true, true, true}},
      {"counted-by-swap", {false, false, false}},
  };
  return table;
}

bool Wanted(const Expected& expected, Memory memory) {
  if (memory == Memory::kSc) return expected.sc;
  return memory == Memory::kTso ? expected.tso : expected.weak;
}

constexpr Memory kMemories[] = {Memory::kSc, Memory::kTso, Memory::kWeak};

TEST(Litmus, EveryWorldShowsExactlyWhatItsMemoryAllows) {
  const auto worlds = AllLitmus();
  EXPECT_EQ(worlds.size(), Table().size());
  for (const auto& world : worlds) {
    for (Memory memory : kMemories) {
      SCOPED_TRACE(world->Name() + " " + MemoryName(memory));
      const Report all = Explore(*world, memory);
      EXPECT_EQ(all.failure.has_value(), Wanted(Table().at(world->Name()), memory));
      EXPECT_EQ(all.complete, !all.failure.has_value());
      const Report some = Sample(*world, memory, 1, 3000);
      EXPECT_EQ(some.failure.has_value(), all.failure.has_value());
    }
  }
}

// A store that waits for nothing is seen behind its flag, unless it was published before.
TEST(Litmus, ALooseStoreIsSeenAnyTimeUntilItIsPublished) {
  for (const bool published : {false, true}) {
    Litmus world("loose-store",
                 {[published](daxfs_word* words, uint64_t*) {
                    Machine::Current().StoreLoose(&words[0], 1);
                    if (published) daxfs_publish(&words[0], 8);
                    daxfs_store(&words[1], 1);
                  },
                  [](daxfs_word* words, uint64_t* registers) {
                    registers[0] = daxfs_load(&words[1]);
                    registers[1] = daxfs_load(&words[0]);
                  }},
                 [](const Litmus::Register& seen) { return seen[0] == 1 && seen[1] == 0; });
    for (Memory memory : kMemories) {
      EXPECT_EQ(Explore(world, memory).failure.has_value(), !published) << MemoryName(memory);
      EXPECT_EQ(Sample(world, memory, 1, 1000).failure.has_value(), !published);
    }
  }
}

// Between hosts that share no cache each step of the two patterns is needed, and all are enough.
TEST(Litmus, WithoutCoherenceAWordIsWrittenBackFencedAndRefreshed) {
  struct Row {
    Apart left_out;
    bool buffering, message;  // is the outcome to be seen?
  };
  for (const Row& row : {Row{Apart::kAll, false, false}, Row{Apart::kNoWriteBack, true, true},
                         Row{Apart::kNoFence, true, false}, Row{Apart::kNoRefresh, true, true}}) {
    SCOPED_TRACE(static_cast<int>(row.left_out));
    const auto buffering = BufferingApart(row.left_out);
    const auto message = MessageApart(row.left_out);
    EXPECT_EQ(Explore(*buffering, Memory::kApart).failure.has_value(), row.buffering);
    EXPECT_EQ(Explore(*message, Memory::kApart).failure.has_value(), row.message);
    EXPECT_EQ(Sample(*buffering, Memory::kApart, 1, 3000).failure.has_value(), row.buffering);
    EXPECT_EQ(Sample(*message, Memory::kApart, 1, 3000).failure.has_value(), row.message);
    // In coherent memory they are only stores and loads.
    EXPECT_FALSE(Explore(*message, Memory::kWeak).failure.has_value());
  }
}

TEST(Departures, PowerOffLosesWhatIsNotInMemory) {
  class Off : public Litmus {
   public:
    using Litmus::Litmus;
    std::vector<Departure> Departures() const override { return {{0, Exit::kPowerOff}}; }
    void Departed(size_t, Exit) override { ends_.insert(Words()[0].raw); }
    std::set<uint64_t> ends_;
  };
  Off off("off", {[](daxfs_word* words, uint64_t*) {
            daxfs_store(&words[0], 1);
            daxfs_write_back(&words[0], 8);
            daxfs_fence();
            daxfs_store(&words[0], 2);
            daxfs_fence();
            daxfs_load(&words[0]);
            daxfs_load(&words[0]);
          }},
          [](const Litmus::Register&) { return false; }, {0});
  EXPECT_TRUE(Explore(off, Memory::kApart).complete);
  EXPECT_EQ(off.ends_, (std::set<uint64_t>{0, 1, 2}));
}

TEST(Replay, ALostUpdateIsFoundByAllChoicesAndReplayedFromItsPath) {
  const auto world = LostUpdate(false);
  const Report report = Explore(*world, Memory::kSc);
  ASSERT_TRUE(report.failure.has_value());
  const std::string text = PathText(report.failure->path);
  ASSERT_TRUE(ParsePath(text).has_value());
  EXPECT_EQ(*ParsePath(text), report.failure->path);
  const std::string trace = Trace(*world, Memory::kSc, *ParsePath(text));
  EXPECT_THAT(trace, HasSubstr("p0 reads w0: 0\n"));
  EXPECT_THAT(trace, HasSubstr("p1 reads w0: 0\n"));
  EXPECT_THAT(trace, HasSubstr("lost-update was seen\n"));
}

TEST(Replay, ALostUpdateIsFoundByChanceAndReplayedFromItsSeed) {
  const auto world = LostUpdate(false);
  const Report report = Sample(*world, Memory::kTso, 7, 1000);
  ASSERT_TRUE(report.failure.has_value());
  const Report again = Sample(*world, Memory::kTso, report.failure->seed, 1);
  ASSERT_TRUE(again.failure.has_value());
  EXPECT_EQ(again.failure->path, report.failure->path);
  EXPECT_EQ(again.failure->what, report.failure->what);
}

TEST(Replay, OnlyPathsAreParsed) {
  EXPECT_EQ(ParsePath(""), Path{});
  EXPECT_EQ(ParsePath("3.0.11"), (Path{3, 0, 11}));
  for (const char* bad : {"3.", ".3", "3..1", "x", "3.x", "-1", "99999999999"})
    EXPECT_EQ(ParsePath(bad), std::nullopt) << bad;
}

TEST(Explore, CountsEveryOrderOnce) {
  // Two participants of two steps each on words of their own: (2 + 1)^2 states, 6 orders.
  Litmus world("grid",
               {[](daxfs_word* words, uint64_t*) {
                  daxfs_store(&words[0], 1);
                  daxfs_store(&words[0], 2);
                },
                [](daxfs_word* words, uint64_t*) {
                  daxfs_store(&words[1], 1);
                  daxfs_store(&words[1], 2);
                }},
               [](const Litmus::Register&) { return false; });
  const Report report = Explore(world, Memory::kSc);
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.states, 9U);
}

TEST(Explore, SaysWhenItLeftSomethingOut) {
  const auto world = LostUpdate(true);
  const Report report = Explore(*world, Memory::kTso, {.states = 10});
  EXPECT_FALSE(report.complete);
  EXPECT_EQ(report.states, 10U);
}

TEST(Explore, ARunWithoutEndIsAFailure) {
  Litmus world("endless", {[](daxfs_word* words, uint64_t*) {
                 for (uint64_t i = 0;; ++i) daxfs_store(&words[0], i);
               }},
               [](const Litmus::Register&) { return false; });
  for (const Report& report : {Explore(world, Memory::kSc, {.steps = 50}),
                               Sample(world, Memory::kSc, 1, 1, {.steps = 50})}) {
    ASSERT_TRUE(report.failure.has_value());
    EXPECT_EQ(report.failure->what, "does not end");
  }
}

// p0 stores 1, 2 and may leave; p1 waits to be told. Ghosts: [0] how p0 left (1 + Exit), [1] what
// p1 read.
class Leaving : public World {
 public:
  explicit Leaving(Exit how, unsigned lives = 1) : how_(how), lives_(lives) {}
  std::string Name() const override { return "leaving"; }
  std::span<daxfs_word> Words() override { return words_; }
  std::span<uint64_t> Ghosts() override { return ghosts_; }
  size_t Participants() const override { return 2; }
  void Run(size_t participant, unsigned life) override {
    if (participant == 0) {
      daxfs_store(&words_[0], life * 10 + 1);
      daxfs_store(&words_[0], life * 10 + 2);
    } else {
      Machine::Current().Await([this] { return ghosts_[0] != 0; });
      ghosts_[1] = 1 + daxfs_load(&words_[0]);
    }
  }
  std::vector<Departure> Departures() const override { return {{0, how_}}; }
  unsigned Lives(size_t) const override { return lives_; }
  void Departed(size_t, Exit how) override { ghosts_[0] = 1 + static_cast<uint64_t>(how); }
  std::string AtEnd() override {
    ++ends_[{words_[0].raw, ghosts_[1]}];
    return "";
  }

  // (the word, what p1 read + 1 or 0) -> how often.
  std::map<std::pair<uint64_t, uint64_t>, int> ends_;

 private:
  Exit how_;
  unsigned lives_;
  std::array<daxfs_word, 1> words_ = {};
  std::array<uint64_t, 2> ghosts_ = {};
};

std::vector<std::pair<uint64_t, uint64_t>> Ends(Exit how, unsigned lives, Memory memory) {
  Leaving world(how, lives);
  EXPECT_TRUE(Explore(world, memory).complete);
  std::vector<std::pair<uint64_t, uint64_t>> ends;
  for (const auto& [end, count] : world.ends_) ends.push_back(end);
  return ends;
}

using Pairs = std::vector<std::pair<uint64_t, uint64_t>>;

TEST(Departures, TheDeadHaveStoredWhatTheyStored) {
  // Before the first store, between the two, never; after the second it has finished.
  EXPECT_EQ(Ends(Exit::kDies, 1, Memory::kSc), (Pairs{{0, 1}, {1, 2}, {2, 0}}));
  EXPECT_EQ(Ends(Exit::kDies, 1, Memory::kTso), (Pairs{{0, 1}, {1, 2}, {2, 0}}));
}

TEST(Departures, PowerOffLosesWhatIsStillQueued) {
  Leaving world(Exit::kPowerOff);
  EXPECT_EQ(Ends(Exit::kPowerOff, 1, Memory::kTso), (Pairs{{0, 1}, {1, 2}, {2, 0}}));
  // One store taken, then off: lost in one order, seen in the other.
  Machine machine(world, Memory::kTso);
  for (const auto& [path, word] : std::map<Path, uint64_t>{{{0, 2}, 0}, {{0, 1, 1}, 1}}) {
    machine.Start(false);
    for (uint32_t choice : path) machine.Take(choice);
    EXPECT_EQ(world.Ghosts()[0], 2U);
    EXPECT_EQ(world.Words()[0].raw, word);
  }
}

TEST(Departures, WhoStopsStillHasStored) {
  // The queued store may be seen before or after p1 has looked.
  EXPECT_EQ(Ends(Exit::kStops, 1, Memory::kTso), (Pairs{{0, 1}, {1, 1}, {1, 2}, {2, 0}}));
}

TEST(Departures, ASecondLifeBeginsFromTheStart) {
  const auto ends = Ends(Exit::kDies, 2, Memory::kSc);
  EXPECT_THAT(ends, testing::Contains(std::pair<uint64_t, uint64_t>(12, 2)));
  EXPECT_THAT(ends, testing::Contains(std::pair<uint64_t, uint64_t>(12, 13)));
  EXPECT_THAT(ends, testing::Not(testing::Contains(std::pair<uint64_t, uint64_t>(1, 2))));
}

}  // namespace
}  // namespace daxfs::sim
