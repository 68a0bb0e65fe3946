// SPDX-License-Identifier: Apache-2.0
// Looking aliases up in a large table that is 80 % full, beside one dependent load from memory of
// that size. Built twice: as everybody has it (time), and with atomics that count lines.
// Prints one line of JSON. Usage: index_bench ALIASES LOOKUPS
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "pool_index.h"
#include "pool_open.h"
#ifdef DAXFS_ATOMIC_SIMULATED
#include "bench/lines.hpp"
#endif

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 7;
constexpr double kLoad = 0.8;

daxfs_key KeyOf(std::uint64_t number) {
  std::mt19937_64 random(number);
  __u8 digest[DAXFS_DIGEST_SIZE];
  for (std::size_t i = 0; i < sizeof(digest); i += 8) {
    const std::uint64_t value = random();
    std::memcpy(digest + i, &value, sizeof(value));
  }
  daxfs_key key;
  daxfs_key_make(&key, DAXFS_ALIAS_DIFF_ID, digest);
  return key;
}

// A pool's memory, zeroed, as huge as the kernel gives it for a file: small pages.
void* Map(std::size_t size) {
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) std::abort();
  return address;
}

// Every load needs the one before it; one cycle through all of the memory.
[[maybe_unused]] double DependentLoad(std::size_t size, std::size_t steps) {
  const std::size_t lines = size / 64;
  std::vector<std::uint32_t> order(lines);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(7));
  auto* memory = static_cast<std::uint64_t*>(Map(lines * 64));
  for (std::size_t i = 0; i < lines; ++i) memory[order[i] * 8UL] = order[(i + 1) % lines];
  std::uint64_t at = order[0];
  const auto started = Clock::now();
  for (std::size_t i = 0; i < steps; ++i) at = memory[at * 8];
  const std::chrono::duration<double, std::nano> spent = Clock::now() - started;
  munmap(memory, lines * 64);
  return (spent.count() + static_cast<double>(at & 1) * 1e-9) / static_cast<double>(steps);
}

[[maybe_unused]] double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + kRounds / 2, values.end());
  return values[kRounds / 2];
}

// A pool of tables alone, with that many aliases or more: 80 % of a power of two.
struct Table {
  daxfs_pool_info info = {};
  daxfs_pool_map map = {};
  daxfs_pool pool = {};
  std::uint32_t filled = 0;
};

bool Fill(Table* table, std::uint32_t aliases) {
  daxfs_pool_info& info = table->info;
  info.device_count = 1;
  info.device[0].size = std::uint64_t{1} << 40U;  // its chunks are never touched
  info.row_count = 200000;
  info.alias_buckets = 1;
  while (info.alias_buckets * 8.0 * kLoad < aliases) info.alias_buckets *= 2;
  table->filled = static_cast<std::uint32_t>(info.alias_buckets * 8.0 * kLoad);
  const char* why = "";
  if (daxfs_pool_defaults(&info, &why) != 0) return false;
  daxfs_pool_tables(&info, &table->map);
  daxfs_pool_view(&table->pool, &info, Map(table->map.end));
  for (std::uint32_t row = 0; row < info.row_count; ++row) {
    daxfs_store(&table->pool.rows[row], daxfs_word_make(DAXFS_ROW_READY, 0, 1));
  }
  const daxfs_alias_extra extra = {};
  for (std::uint32_t i = 0; i < table->filled; ++i) {
    const daxfs_key key = KeyOf(i);
    daxfs_alias alias;
    if (daxfs_index_insert(&table->pool, &table->pool.aliases, 0, &key,
                           daxfs_reference(i % info.row_count, 1), &extra, &alias) != 0) {
      return false;
    }
  }
  return true;
}

#ifdef DAXFS_ATOMIC_SIMULATED
bool Measure(const Table& table, std::vector<daxfs_key>& keys) {
  std::vector<std::size_t> lines;
  daxfs::bench::TakeLines();
  for (const daxfs_key& key : keys) {
    daxfs_alias alias;
    if (daxfs_index_find(&table.pool, &table.pool.aliases, &key, 0, &alias) != 0) return false;
    lines.push_back(daxfs::bench::TakeLines());
  }
  std::sort(lines.begin(), lines.end());
  std::printf("{\"aliases\": %u, \"lines_p50\": %zu, \"lines_p99\": %zu, \"lines_max\": %zu}\n",
              table.filled, lines[lines.size() / 2], lines[lines.size() * 99 / 100], lines.back());
  return true;
}
#else
bool Measure(const Table& table, std::vector<daxfs_key>& keys) {
  const std::size_t bytes =
      table.map.size[DAXFS_TABLE_ALIAS_WORDS] + table.map.size[DAXFS_TABLE_ALIASES];
  std::vector<double> found;
  std::vector<double> loads;
  for (int round = 0; round < kRounds; ++round) {
    loads.push_back(DependentLoad(bytes, keys.size()));
    std::uint64_t carry = 0;
    const auto started = Clock::now();
    for (daxfs_key& key : keys) {
      // The next key depends on what was found: no two look-ups overlap.
      key.digest[0] ^= carry;
      daxfs_alias alias;
      if (daxfs_index_find(&table.pool, &table.pool.aliases, &key, 0, &alias) != 0) return false;
      carry = alias.position >> 31U;
    }
    const std::chrono::duration<double, std::nano> spent = Clock::now() - started;
    found.push_back(spent.count() / static_cast<double>(keys.size()));
  }
  const double lookup = Median(found);
  const double load = Median(loads);
  std::printf(
      "{\"aliases\": %u, \"table_bytes\": %zu, \"lookup_ns\": %.1f, \"dependent_load_ns\": %.1f, "
      "\"ratio\": %.2f}\n",
      table.filled, bytes, lookup, load, lookup / load);
  return true;
}
#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto aliases = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
  const auto lookups = static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10));
  Table table;
  if (!Fill(&table, aliases)) {
    std::fprintf(stderr, "index_bench: the table does not hold %u aliases\n", aliases);
    return 1;
  }
  std::mt19937_64 random(3);
  std::vector<daxfs_key> keys;
  for (std::uint32_t i = 0; i < lookups; ++i) keys.push_back(KeyOf(random() % table.filled));
  return Measure(table, keys) ? 0 : 1;
}
