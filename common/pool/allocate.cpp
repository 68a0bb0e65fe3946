// SPDX-License-Identifier: Apache-2.0
// Rows, chunks and granules: where objects come from.
#include <utility>

#include "common/pool/building.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/participant.hpp"
#include "common/pool/room.hpp"

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

}  // namespace

Result<std::unique_ptr<Building>> Participant::Begin(ObjectKind kind) {
  return WithRoom({}, [&] { return TryBegin(kind); });
}

Result<std::unique_ptr<Building>> Participant::TryBegin(ObjectKind kind) {
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
  const std::uint64_t has = building.pool_bytes();
  const std::uint64_t wanted = building.wanted_bytes();
  const Need need{(wanted - has) / DAXFS_CHUNK_SIZE, 0};
  Result<std::uint32_t> taken = WithRoom(need, [&] { return TryChunk(building.ref()); });
  if (taken.status().code() != StatusCode::kResourceExhausted) return taken;
  return NoMemory(has, wanted, !building.knows_size());
}

// Errors: kResourceExhausted, and the caller says what is to be said.
Result<std::uint32_t> Participant::TryChunk(Ref ref) {
  const daxfs_pool& words = memory_->words();
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
  return ResourceExhaustedError("");
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
  Result<std::uint32_t> taken = WithRoom({0, count}, [&] { return TryGranules(ref, count); });
  if (taken.status().code() != StatusCode::kResourceExhausted) return taken;
  return NoMemory(0, std::uint64_t{count} << DAXFS_GRANULE_SHIFT, false);
}

// As TryChunk.
Result<std::uint32_t> Participant::TryGranules(Ref ref, std::uint32_t count) {
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
  return ResourceExhaustedError("");
}

}  // namespace daxfs::pool
