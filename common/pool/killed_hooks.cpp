// SPDX-License-Identifier: Apache-2.0
// Shared words that end the process at the Nth step on them: the real atomics, and a countdown.
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <utility>

#include "daxfs/atomic.h"
#include "pool.h"

daxfs_rules daxfs_sim_rules_left_out = 0;

namespace daxfs::pool::testing {

// Steps left, and how the process ends at 0. Below 0: for ever.
std::int64_t steps_left = -1;  // NOLINT: one test, one process
constexpr int kKilledStatus = 77;

// What another does to a word right before the next swap.
std::function<void(daxfs_word*)> other;  // NOLINT

void Step() {
  if (steps_left < 0) return;
  if (steps_left-- == 0) _exit(kKilledStatus);  // as SIGKILL does: nothing is run
}

}  // namespace daxfs::pool::testing

using daxfs::pool::testing::Step;

extern "C" {

__u64 daxfs_sim_load(const daxfs_word* word) {
  return __atomic_load_n(&word->raw, __ATOMIC_ACQUIRE);
}
void daxfs_sim_store(daxfs_word* word, __u64 value) {
  Step();
  __atomic_store_n(&word->raw, value, __ATOMIC_RELEASE);
}
__u64 daxfs_sim_cas(daxfs_word* word, __u64 expected, __u64 desired) {
  Step();
  if (daxfs::pool::testing::other) {
    std::exchange(daxfs::pool::testing::other, {})(word);
  }
  __atomic_compare_exchange_n(&word->raw, &expected, desired, 0, __ATOMIC_ACQ_REL,
                              __ATOMIC_ACQUIRE);
  return expected;
}
void daxfs_sim_fence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void daxfs_sim_publish(const void*, __u64) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void daxfs_sim_write_back(const void*, __u64) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void daxfs_sim_refresh(const void*, __u64) {}
}
