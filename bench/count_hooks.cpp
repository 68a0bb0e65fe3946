// SPDX-License-Identifier: Apache-2.0
// Shared words that count swaps, and those that somebody else was quicker at.
#include <atomic>
#include <cstdint>

#include "daxfs/atomic.h"
#include "pool.h"

daxfs_rules daxfs_sim_rules_left_out = 0;

namespace daxfs::bench {

std::atomic<std::uint64_t> swaps{0};
std::atomic<std::uint64_t> swaps_lost{0};

}  // namespace daxfs::bench

extern "C" {

__u64 daxfs_sim_load(const daxfs_word* word) {
  return __atomic_load_n(&word->raw, __ATOMIC_ACQUIRE);
}
void daxfs_sim_store(daxfs_word* word, __u64 value) {
  __atomic_store_n(&word->raw, value, __ATOMIC_RELEASE);
}
__u64 daxfs_sim_cas(daxfs_word* word, __u64 expected, __u64 desired) {
  const bool swapped = __atomic_compare_exchange_n(&word->raw, &expected, desired, false,
                                                   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  daxfs::bench::swaps.fetch_add(1, std::memory_order_relaxed);
  if (!swapped) daxfs::bench::swaps_lost.fetch_add(1, std::memory_order_relaxed);
  return expected;
}
void daxfs_sim_fence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void daxfs_sim_publish(const void* /*bytes*/, __u64 /*length*/) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void daxfs_sim_write_back(const void* /*bytes*/, __u64 /*length*/) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void daxfs_sim_refresh(const void* /*bytes*/, __u64 /*length*/) {}
}
