// SPDX-License-Identifier: Apache-2.0
#include "bench/lines.hpp"

#include <utility>

#include "daxfs/atomic.h"
#include "pool.h"

daxfs_rules daxfs_sim_rules_left_out = 0;

namespace {

std::set<std::uintptr_t> lines;  // NOLINT: one thread

void Touch(const daxfs_word* word) {
  lines.insert(reinterpret_cast<std::uintptr_t>(word) / daxfs::bench::kLineBytes);  // NOLINT
}

}  // namespace

extern "C" {

__u64 daxfs_sim_load(const daxfs_word* word) {
  Touch(word);
  return word->raw;
}
void daxfs_sim_store(daxfs_word* word, __u64 value) {
  Touch(word);
  word->raw = value;
}
__u64 daxfs_sim_cas(daxfs_word* word, __u64 expected, __u64 desired) {
  Touch(word);
  const __u64 found = word->raw;
  if (found == expected) word->raw = desired;
  return found;
}
void daxfs_sim_fence() {}
void daxfs_sim_publish(const void*, __u64) {}
void daxfs_sim_write_back(const void* /*bytes*/, __u64 /*length*/) {}
void daxfs_sim_refresh(const void*, __u64) {}
}

namespace daxfs::bench {

std::size_t TakeLines() { return std::exchange(lines, {}).size(); }

}  // namespace daxfs::bench
