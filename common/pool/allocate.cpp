// SPDX-License-Identifier: Apache-2.0
// Rows, chunks and granules: where objects come from, and where they go.
#include <algorithm>
#include <cstring>

#include "common/base/units.hpp"
#include "common/os/system.hpp"
#include "common/pool/building.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {
namespace {

// A look before the swaps: 0, or an owner whose life may be over.
bool MayBeFree(const daxfs_pool& words, std::uint32_t first, std::uint32_t count) {
  for (std::uint32_t i = first; i < first + count; ++i) {
    const std::uint64_t owner = daxfs_load(&words.granules[i]);
    const std::uint32_t row = daxfs_reference_row(owner);
    if (owner == 0) continue;
    if (row >= words.row_count ||
        daxfs_word_generation(daxfs_load(&words.rows[row])) == daxfs_word_generation(owner)) {
      return false;
    }
  }
  return true;
}

std::string ChunksText(std::uint64_t chunks) { return base::HumanSize(chunks * DAXFS_CHUNK_SIZE); }

}  // namespace

Result<std::unique_ptr<Building>> Participant::Begin(ObjectKind kind) {
  const daxfs_pool& words = memory_->words();
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  for (std::uint32_t i = 0; i < words.row_count; ++i) {
    const std::uint32_t row = (next_row_ + i) % words.row_count;
    __u64 generation = 0;
    if (daxfs_row_claim(&words, slot_, row, &generation) != 0) continue;
    next_row_ = (row + 1) % words.row_count;
    daxfs_store(&words.row_records[row].progress, 0);
    return std::unique_ptr<Building>(
        new Building(*this, {row, generation, memory_->partition()}, kind));
  }
  return NoEntry("all " + std::to_string(words.row_count) + " rows for objects are taken",
                 WhatCouldGo(Usage(*memory_)), "--rows");
}

std::optional<std::uint32_t> Participant::TakeFreeChunkLocked(Ref ref) {
  const daxfs_pool& words = memory_->words();
  const std::uint32_t chunks = memory_->chunks();
  for (std::uint32_t i = 0; i < chunks; ++i) {
    const std::uint32_t chunk = (next_chunk_ + i) % chunks;
    if (daxfs_chunk_take(&words, chunk, ref.row, ref.generation) != 0) continue;
    next_chunk_ = (chunk + 1) % chunks;
    return chunk;
  }
  return std::nullopt;
}

Result<std::uint32_t> Participant::TakeChunk(const Building& building) {
  const daxfs_pool& words = memory_->words();
  const Ref ref = building.ref();
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  if (const auto chunk = TakeFreeChunkLocked(ref)) return *chunk;
  // Before it is full: chunks whose small objects are all gone.
  bool merged = false;
  for (std::uint32_t i = 0; i < words.owner_count; ++i) {
    merged = daxfs_chunk_merge(&words, slot_, i) == 0 || merged;
  }
  if (merged) {
    if (const auto chunk = TakeFreeChunkLocked(ref)) return *chunk;
  }
  return NoMemory(building.pool_bytes(), building.wanted_bytes(), !building.knows_size());
}

std::optional<std::uint32_t> Participant::TakeGranulesLocked(Ref ref, std::uint32_t count) {
  const daxfs_pool& words = memory_->words();
  const std::uint32_t chunks = memory_->chunks();
  for (std::uint32_t i = 0; i < chunks; ++i) {
    const std::uint32_t chunk = (granule_chunk_ + i) % chunks;
    if (daxfs_load(&words.owners[chunk]) != DAXFS_OWNER_SPLIT) continue;
    const std::uint32_t first = chunk * DAXFS_CHUNK_GRANULES;
    for (std::uint32_t at = 0; at + count <= DAXFS_CHUNK_GRANULES; ++at) {
      if (!MayBeFree(words, first + at, count)) continue;
      if (daxfs_granules_take(&words, first + at, count, ref.row, ref.generation) != 0) continue;
      granule_chunk_ = chunk;
      return first + at;
    }
  }
  return std::nullopt;
}

Result<std::uint32_t> Participant::TakeGranules(Ref ref, std::uint32_t count) {
  const daxfs_pool& words = memory_->words();
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  if (const auto first = TakeGranulesLocked(ref, count)) return *first;
  const std::uint32_t chunks = memory_->chunks();
  for (std::uint32_t i = 0; i < chunks; ++i) {
    const std::uint32_t chunk = (next_chunk_ + i) % chunks;
    if (daxfs_chunk_split(&words, chunk) != 0) continue;
    next_chunk_ = (chunk + 1) % chunks;
    granule_chunk_ = chunk;
    if (const auto first = TakeGranulesLocked(ref, count)) return *first;
  }
  return NoMemory(0, std::uint64_t{count} << DAXFS_GRANULE_SHIFT, false);
}

Status Participant::NoMemory(std::uint64_t has_bytes, std::uint64_t wanted_bytes,
                             bool at_least) const {
  const UsageView usage = Usage(*memory_);
  std::string text = memory_->name() + ": pool is full: an object needs " +
                     (at_least ? "at least " : "") + base::HumanSize(wanted_bytes) + " and has " +
                     base::HumanSize(has_bytes) + " of it, " + ChunksText(usage.chunks_free) +
                     " of " + ChunksText(usage.chunks) + " are free; " + WhatCouldGo(usage);
  if (usage.chunks_absent != 0) {
    text += "; it may grow by " + ChunksText(usage.chunks_absent) + ": daxfsctl pool resize";
  }
  const std::uint64_t chunks =
      std::uint64_t{usage.chunks_free} + usage.chunks_orphan + usage.chunks_absent;
  const std::uint64_t may_have = has_bytes + chunks * DAXFS_CHUNK_SIZE + usage.collectable_bytes;
  if (may_have < wanted_bytes) {
    text += "; all of that is " + base::HumanSize(wanted_bytes - may_have) + " too little";
  }
  return ResourceExhaustedError(text);
}

Status Participant::NoEntry(const std::string& what, const std::string& advice,
                            const char* option) const {
  return ResourceExhaustedError(
      memory_->name() + ": pool is full: " + what + ", whatever memory is free; " + advice +
      "; one made anew may have more (daxfsctl pool create " + option + ")");
}

Status Participant::CollectOne(Ref ref) {
  const daxfs_pool& words = memory_->words();
  ASSIGN_OR_RETURN(const std::unique_lock<std::mutex> lock, Enter());
  if (!IsOwn(ref)) {
    return FailedPreconditionError("it is in the partition of host " +
                                   UuidText(memory_->At(ref.partition).partition_host()) +
                                   ", which alone can collect it");
  }
  if (ref.row >= words.row_count ||
      daxfs_word_generation(daxfs_load(&words.rows[ref.row])) != ref.generation) {
    return NotFoundError("no such object");
  }
  daxfs_object_info object;
  daxfs_object_read(&words, ref.row, &object);
  if (object.kind != DAXFS_OBJECT_IMAGE && object.kind != DAXFS_OBJECT_BLOB) {
    return UnimplementedError("an object of a kind this program does not know");
  }
  const int error = daxfs_collect(&words, slot_, ref.row);
  if (error == -EBUSY) {
    ++contention_[DAXFS_CONTENTION_UNDONE];
    return FailedPreconditionError("somebody uses or holds it");
  }
  if (error != 0) return FromCore(error, "collect");
  if (object.granule_count != 0 && object.first < words.granule_count) {
    daxfs_chunk_merge(&words, slot_, object.first / DAXFS_CHUNK_GRANULES);
  }
  return Status::Ok();
}

bool Participant::MergeChunk(std::uint32_t chunk) {
  const std::lock_guard lock(mutex_);
  if (IsFenced()) return false;
  return daxfs_chunk_merge(&memory_->words(), slot_, chunk) == 0;
}

std::vector<Collected> Participant::Collect(const CollectOptions& options) {
  std::vector<ObjectView> candidates;
  for (ObjectView& object : ListObjects(*memory_)) {
    if (object.state != RowState::kReady && object.state != RowState::kDying) continue;
    if (object.kind != DAXFS_OBJECT_IMAGE && object.kind != DAXFS_OBJECT_BLOB) continue;
    if (object.uses == 0 && object.holds == 0) candidates.push_back(std::move(object));
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const ObjectView& a, const ObjectView& b) { return a.used < b.used; });
  std::vector<Collected> collected;
  std::uint64_t freed = 0;
  for (const ObjectView& object : candidates) {
    if (freed >= options.wanted_bytes) break;
    if (!options.dry_run && !CollectOne(object.ref).ok()) continue;
    collected.push_back({object.ref, object.digest, object.pool_bytes, object.used});
    freed += object.pool_bytes;
  }
  return collected;
}

}  // namespace daxfs::pool
