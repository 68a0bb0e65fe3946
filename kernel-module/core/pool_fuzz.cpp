// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A small pool with a few objects, and bytes of it overwritten as the input says: whatever they
// are, everything that reads, sweeps and collects stays inside and comes to an end.
//
// The same bytes are patched into a pool of two partitions, where a host of the first one reads the
// second. Input: 8-byte patches {offset:24, seal:1, width:2, value:5 bytes}; the superblock's
// checksum is made anew if asked.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "core.h"
#include "pool_index.h"
#include "pool_open.h"
#include "pool_record.h"
#include "pool_slot.h"

namespace {

constexpr std::size_t kPatch = 8;
constexpr std::size_t kPatchesMax = 64;

daxfs_key KeyOf(__u8 number, __u32 kind) {
  __u8 digest[DAXFS_DIGEST_SIZE] = {number, number, 3};
  daxfs_key key;
  daxfs_key_make(&key, kind, digest);
  return key;
}

daxfs_pool_info InfoOf(__u32 partitions) {
  daxfs_pool_info info = {};
  info.device_count = 1;
  info.device[0].size = 16U << 20U;
  info.partition_count = partitions;
  info.row_count = 8;
  info.slot_count = 4;
  info.host_count = partitions > 1 ? 1 : 2;
  info.alias_buckets = 2;
  info.name_buckets = 1;
  info.alias_overflow = info.name_overflow = 2;
  info.hold_count = 4;
  const char* why = "";
  if (daxfs_pool_defaults(&info, &why) != 0) std::abort();
  return info;
}

// A pool, or one partition's tables, with three objects in chunks and granules, an alias and a name
// each, a hold, a dead slot.
std::vector<__u8> MakePool(const daxfs_pool_info& info) {
  daxfs_pool_map map;
  daxfs_pool_tables(&info, &map);
  std::vector<__u8> memory(map.end);
  daxfs_pool_format(memory.data(), &info, 0);
  daxfs_pool pool;
  daxfs_pool_view(&pool, &info, memory.data());
  const __u8 id[16] = {1};
  __u32 host = 0;
  __u64 host_key = 0;
  daxfs_host_join(&pool, id, "fuzz", &host, &host_key);
  for (__u32 slot = 0; slot < 2; ++slot) {
    __u64 word = 0;
    const daxfs_attacher who = {host, host_key, 7};
    daxfs_attach(&pool, slot, &who, &word);
  }
  daxfs_chunk_split(&pool, 6);
  for (__u32 row = 0; row < 3; ++row) {
    __u64 generation = 0;
    daxfs_row_claim(&pool, row % 2, row, &generation);
    daxfs_object_info object = {};
    object.kind = DAXFS_OBJECT_IMAGE;
    object.size = 100;
    object.first = row * 2;
    object.chunk_count = 2;
    if (row == 2) {
      object.first = 6 * DAXFS_CHUNK_GRANULES;
      object.chunk_count = 0;
      object.granule_count = 1;
      daxfs_granules_take(&pool, object.first, 1, row, generation);
    } else {
      daxfs_chunk_take(&pool, row * 2, row, generation);
      daxfs_chunk_take(&pool, row * 2 + 1, row, generation);
      daxfs_link_write(&pool, row * 2, row * 2 + 1);
      daxfs_link_write(&pool, row * 2 + 1, DAXFS_NO_CHUNK);
    }
    daxfs_object_write(&pool, row, &object);
    daxfs_row_publish(&pool, row % 2, row, generation);
    const daxfs_key key = KeyOf(static_cast<__u8>(row), DAXFS_ALIAS_ROOT);
    const daxfs_key name = KeyOf(static_cast<__u8>(row), DAXFS_ALIAS_NAME);
    const daxfs_alias_extra extra = {{}, "name", 4};
    daxfs_alias alias;
    const __u64 target = daxfs_target(&pool, row, generation);
    daxfs_index_insert(&pool, &pool.aliases, 0, &key, target, nullptr, &alias);
    daxfs_index_insert_unique(&pool, &pool.names, 0, &name, target, &extra, 0, &alias);
  }
  const daxfs_hold_note note = {1, DAXFS_HOLD_ADMIN, 4, "hold"};
  __u64 word = 0;
  daxfs_hold_take(&pool, 0, 0, &pool, 0, 0, &note, &word);
  daxfs_mark_dead(&pool, 1, daxfs_load(&pool.slots[1]));
  return memory;
}

void Seal(std::span<__u8> memory) {
  __u8 block[DAXFS_BLOCK_SIZE];
  std::memcpy(block, memory.data(), sizeof(block));
  std::memset(block, 0, 8);
  std::memset(block + 12, 0, 4);
  const __u32 crc = daxfs_crc32c(0, block, sizeof(block));
  std::memcpy(memory.data() + 12, &crc, sizeof(crc));
}

void ReadRows(const daxfs_pool& pool) {
  for (__u32 row = 0; row < pool.row_count; ++row) {
    const char* why = "";
    daxfs_object_info object;
    daxfs_object_read(&pool, row, &object);
    std::vector<__u32> chunks(pool.owner_count);
    daxfs_object_chunks(&pool, row, daxfs_word_generation(daxfs_load(&pool.rows[row])), &object,
                        chunks.data(), pool.owner_count, &why);
  }
  for (__u32 i = 0; i < pool.hold_count; ++i) {
    daxfs_hold_info hold;
    daxfs_hold_read(&pool, i, &hold);
  }
}

void FindAll(const daxfs_pool& pool, const daxfs_pool& home, const daxfs_index& index, __u32 kind) {
  std::vector<__u64> body(index.body_words);
  for (__u32 i = 0; i < daxfs_index_rows(&index); ++i) daxfs_index_read(&index, i, body.data());
  for (__u8 number = 0; number < 4; ++number) {
    const daxfs_key key = KeyOf(number, kind);
    daxfs_alias alias;
    int had = 0;
    if (daxfs_object_find(&pool, 3, &home, &index, &key, &alias, &had) != 0) continue;
    if (had == 0) daxfs_target_drop(&pool, 3, alias.target);
    if (&home != &pool) continue;
    daxfs_index_flip(&index, 3, &alias, alias.target);
    daxfs_index_remove(&index, &alias);
  }
}

// What a program does that takes part, in a slot it takes for its own.
void TakePart(const daxfs_pool& pool) {
  __u64 word = 0;
  const daxfs_attacher who = {1, daxfs_load(&pool.hosts[1]), 7};
  if (daxfs_attach(&pool, 3, &who, &word) != 0) return;
  for (__u32 i = 0; i < pool.partition_count; ++i) {
    const daxfs_pool& home = i == pool.partition ? pool : pool.partitions[i];
    FindAll(pool, home, home.aliases, DAXFS_ALIAS_ROOT);
    FindAll(pool, home, home.names, DAXFS_ALIAS_NAME);
  }
  if (pool.partition_count > 1) daxfs_partition_begin(&pool);
  const daxfs_key key = KeyOf(9, DAXFS_ALIAS_NAME);
  daxfs_alias alias;
  daxfs_index_insert_unique(&pool, &pool.names, 3, &key, daxfs_reference(0, 0), nullptr, 1, &alias);
  for (__u32 slot = 0; slot < 3; ++slot) daxfs_sweep(&pool, 3, slot);
  for (__u32 chunk = 0; chunk < pool.owner_count; ++chunk) {
    daxfs_chunk_free_orphan(&pool, chunk);
    daxfs_chunk_merge(&pool, 3, chunk);
  }
  for (__u32 row = 0; row < pool.row_count; ++row) daxfs_collect(&pool, 3, row);
  daxfs_fence_host(&pool, 0, daxfs_load(&pool.hosts[0]));
  __u64 life = 0;
  if (daxfs_succeed(&pool, 0, &who, &life) == 0) daxfs_detach(&pool, 0);
  daxfs_detach(&pool, 3);
  daxfs_host_leave(&pool, 1, daxfs_load(&pool.hosts[1]) | 1);
}

// Applies the patches; their offsets run through all of `parts`.
void Patch(std::span<const std::span<__u8>> parts, std::span<const std::uint8_t> input) {
  const std::size_t each = parts.front().size();
  bool seal = false;
  for (std::size_t at = 0; at + kPatch <= input.size() && at < kPatchesMax * kPatch; at += kPatch) {
    std::uint64_t patch = 0;
    std::memcpy(&patch, input.data() + at, sizeof(patch));
    const std::size_t offset = (patch & 0xffffffU) % (each * parts.size());
    const std::size_t width = std::size_t{1} << ((patch >> 25U) & 3U);
    const std::uint64_t value = patch >> 27U;
    seal = seal || ((patch >> 24U) & 1U) != 0;
    for (std::size_t i = 0; i < width && offset % each + i < each; ++i) {
      parts[offset / each][offset % each + i] = static_cast<__u8>(i < 5 ? value >> (8 * i) : 0);
    }
  }
  for (const std::span<__u8>& part : parts) {
    if (seal) Seal(part);
  }
}

void TryPool(std::span<const std::uint8_t> input) {
  static const std::vector<__u8> kPool = MakePool(InfoOf(1));
  std::vector<__u8> memory = kPool;
  const std::span<__u8> part(memory);
  Patch({&part, 1}, input);
  daxfs_pool_info info;
  daxfs_pool_map map;
  const char* why = "";
  if (daxfs_pool_read_super(&info, memory.data(), memory.size(), &why) != 0) return;
  daxfs_pool_tables(&info, &map);
  // Callers compare the device's size, behind which everything lies, with what they have mapped.
  if (map.end > memory.size() || info.partition_count > 1) return;
  __u32 device = 0;
  __u64 offset = 0;
  daxfs_chunk_device(&info, info.chunk_count - 1, &device, &offset);
  daxfs_pool pool;
  daxfs_pool_view(&pool, &info, memory.data());
  ReadRows(pool);
  TakePart(pool);
}

// Two partitions as they lie in memory; what is no table of them cannot be touched.
class Partitions {
 public:
  Partitions() : info_(InfoOf(2)), tables_(MakePool(info_)), other_(tables_) {
    info_.partition = 1;
    daxfs_pool_format(other_.data(), &info_, 0);
    base_ = static_cast<__u8*>(
        mmap(nullptr, 2 * info_.partition_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (const std::span<__u8>& part : Parts()) {
      if (mprotect(part.data(), part.size(), PROT_READ | PROT_WRITE) != 0) std::abort();
    }
  }

  std::array<std::span<__u8>, 2> Parts() const {
    return {std::span(base_, tables_.size()),
            std::span(base_ + info_.partition_size, tables_.size())};
  }

  void Try(std::span<const std::uint8_t> input) {
    const std::array<std::span<__u8>, 2> parts = Parts();
    std::copy(tables_.begin(), tables_.end(), parts[0].begin());
    std::copy(other_.begin(), other_.end(), parts[1].begin());
    Patch(parts, input);
    daxfs_pool_info info;
    daxfs_pool_map map;
    const char* why = "";
    if (daxfs_pool_read_super(&info, base_, tables_.size(), &why) != 0) return;
    daxfs_pool_tables(&info, &map);
    // As above; another size or number of partitions lies elsewhere.
    if (map.end > tables_.size() || info.partition_count != 2 ||
        info.partition_size != info_.partition_size) {
      return;
    }
    daxfs_pool_info other;
    for (__u32 i = 0; i < 2; ++i) {
      if (daxfs_partition_read(&other, base_, info.partition_size, i, &why) != 0) return;
    }
    std::array<daxfs_pool, 2> pools;
    daxfs_partitions_view(pools.data(), &info, base_, 0);
    ReadRows(pools[0]);
    ReadRows(pools[1]);
    TakePart(pools[0]);
  }

 private:
  daxfs_pool_info info_;
  std::vector<__u8> tables_;
  std::vector<__u8> other_;
  __u8* base_ = nullptr;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Partitions partitions;
  TryPool({data, size});
  partitions.Try({data, size});
  return 0;
}
