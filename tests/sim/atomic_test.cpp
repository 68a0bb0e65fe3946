// SPDX-License-Identifier: Apache-2.0
// daxfs/atomic.h as user space compiles it, with real threads. Orders of memory are the simulator's
// matter; here a test sees whether the functions do what their names say on this machine.
#include "daxfs/atomic.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

TEST(Atomic, ASwapSaysWhatItFound) {
  daxfs_word word = {};
  daxfs_store(&word, 5);
  EXPECT_EQ(daxfs_cas(&word, 4, 9), 5U);
  EXPECT_EQ(daxfs_load(&word), 5U);
  EXPECT_EQ(daxfs_cas(&word, 5, 0xfedcba9876543210U), 5U);
  EXPECT_EQ(daxfs_load(&word), 0xfedcba9876543210U);
}

TEST(Atomic, CountingBySwapLosesNothing) {
  constexpr int kThreads = 4, kEach = 20000;
  alignas(64) daxfs_word word = {};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&word] {
      for (int n = 0; n < kEach; ++n)
        for (uint64_t seen = daxfs_load(&word);;) {
          const uint64_t found = daxfs_cas(&word, seen, seen + 1);
          if (found == seen) break;
          seen = found;
        }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(daxfs_load(&word), uint64_t{kThreads} * kEach);
}

// The store-buffering litmus: without the fence this machine shows the outcome within some thousand
// rounds.
TEST(Atomic, AFenceKeepsALoadBehindAStore) {
  constexpr int kRounds = 20000;
  struct alignas(64) Line {
    daxfs_word word;
    uint64_t seen;
  };
  Line lines[2] = {};
  std::atomic<int> arrived = 0, judged = 0;
  const auto play = [&](int self) {
    for (int round = 1; round <= kRounds; ++round) {
      daxfs_store(&lines[self].word, static_cast<uint64_t>(round));
      daxfs_fence();
      lines[self].seen = daxfs_load(&lines[1 - self].word);
      ++arrived;
      while (arrived.load() < 2 * round) std::this_thread::yield();
      // Both have looked; nobody stores the next round before both have judged this one.
      const bool both_missed = lines[0].seen < static_cast<uint64_t>(round) &&
                               lines[1].seen < static_cast<uint64_t>(round);
      EXPECT_FALSE(both_missed) << "round " << round;
      ++judged;
      while (judged.load() < 2 * round) std::this_thread::yield();
    }
  };
  std::thread other(play, 1);
  play(0);
  other.join();
}

TEST(Atomic, PublishedBytesAreThereWhenTheWordIs) {
  constexpr int kRounds = 20000;
  alignas(64) daxfs_word word = {}, read = {};
  alignas(64) uint64_t bytes[8] = {};
  std::thread reader([&] {
    for (uint64_t round = 1; round <= kRounds; ++round) {
      while (daxfs_load(&word) != round) std::this_thread::yield();
      daxfs_refresh(bytes, sizeof(bytes));
      for (const uint64_t& byte : bytes) EXPECT_EQ(byte, round);
      daxfs_store(&read, round);
    }
  });
  for (uint64_t round = 1; round <= kRounds; ++round) {
    for (uint64_t& byte : bytes) byte = round;
    daxfs_publish(bytes, sizeof(bytes));
    daxfs_store(&word, round);
    while (daxfs_load(&read) != round) std::this_thread::yield();
  }
  reader.join();
}

}  // namespace
