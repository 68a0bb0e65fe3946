// SPDX-License-Identifier: Apache-2.0
// A full pool: what it says, and what goes.
#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "common/base/units.hpp"
#include "common/os/system.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {
namespace {

// Of a pool's memory so much goes at a time, or what is needed if that is more: who builds many
// objects does not look through all of them for each.
constexpr std::uint64_t kPartAtOnce = 64;

// Of entries in a table.
constexpr std::uint64_t kEntriesAtOnce = 32;
constexpr int kEntryAttempts = 4;

constexpr int kIdleAttempts = 20;
constexpr std::chrono::milliseconds kIdle{5};

std::string ChunksText(std::uint64_t chunks) { return base::HumanSize(chunks * DAXFS_CHUNK_SIZE); }

// Objects nobody refers to, the longest unused first.
std::vector<ObjectView> Unreferenced(const Memory& memory) {
  std::vector<ObjectView> objects;
  for (ObjectView& object : ListObjects(memory)) {
    if (object.state != RowState::kReady && object.state != RowState::kDying) continue;
    if (object.kind != DAXFS_OBJECT_IMAGE && object.kind != DAXFS_OBJECT_BLOB) continue;
    if (object.uses == 0 && object.holds == 0) objects.push_back(std::move(object));
  }
  std::stable_sort(objects.begin(), objects.end(),
                   [](const ObjectView& a, const ObjectView& b) { return a.used < b.used; });
  return objects;
}

// What there would be without all of those: whole chunks, and neighbouring granules at most.
struct Obtainable {
  std::uint64_t chunks = 0;
  std::uint32_t granules = 0;
};

Obtainable WhatIsObtainable(const Memory& memory) {
  const daxfs_pool& words = memory.words();
  constexpr std::uint64_t kStays = UINT64_MAX;
  std::vector<std::uint64_t> generations(words.row_count, kStays);  // by row
  for (const ObjectView& object : Unreferenced(memory)) {
    generations[object.ref.row] = object.ref.generation;
  }
  const auto goes = [&](std::uint64_t owner) {
    const std::uint32_t row = daxfs_reference_row(owner);
    if (owner == 0) return true;
    if (row >= words.row_count) return false;  // damage
    return generations[row] == daxfs_word_generation(owner) || !OwnerLives(memory, owner);
  };
  Obtainable obtainable;
  for (std::uint32_t chunk = 0; chunk < words.owner_count; ++chunk) {
    const std::uint64_t owner = daxfs_load(&words.owners[chunk]);
    if (owner == DAXFS_OWNER_ABSENT) continue;
    std::uint32_t run = 0;
    std::uint32_t longest = 0;
    const bool split = owner != 0 && daxfs_reference_row(owner) > DAXFS_ROW_MAX;
    for (std::uint32_t i = 0; i < DAXFS_CHUNK_GRANULES; ++i) {
      const std::uint32_t granule = chunk * DAXFS_CHUNK_GRANULES + i;
      run = goes(split ? daxfs_load(&words.granules[granule]) : owner) ? run + 1 : 0;
      longest = std::max(longest, run);
    }
    if (longest == DAXFS_CHUNK_GRANULES) ++obtainable.chunks;
    obtainable.granules = std::max(obtainable.granules, longest);
  }
  return obtainable;
}

}  // namespace

Status Participant::NoMemory(std::uint64_t has_bytes, std::uint64_t wanted_bytes,
                             bool at_least) const {
  const UsageView usage = Usage(*memory_);
  const std::uint64_t free_bytes = has_bytes + std::uint64_t{usage.chunks_free} * DAXFS_CHUNK_SIZE;
  std::string text = memory_->name() + ": pool is full: an object needs " +
                     (at_least ? "at least " : "") + base::HumanSize(wanted_bytes) + ", and " +
                     base::HumanSize(free_bytes) + " of " + ChunksText(usage.chunks) +
                     " were free; " + WhatCouldGo(usage);
  if (usage.chunks_absent != 0) {
    text += "; it may grow by " + ChunksText(usage.chunks_absent) + ": daxfsctl pool resize";
  }
  const std::uint64_t more = std::uint64_t{usage.chunks_orphan} + usage.chunks_absent;
  const std::uint64_t may_have = free_bytes + more * DAXFS_CHUNK_SIZE + usage.collectable_bytes;
  if (may_have < wanted_bytes) {
    text += std::string("; all of that is ") + (at_least ? "at least " : "") +
            base::HumanSize(wanted_bytes - may_have) + " too little";
  }
  return ResourceExhaustedError(text);
}

Status Participant::NoAlias() const {
  return NoEntry("no room for another alias", WhatCouldGo(Usage(*memory_)), "--aliases");
}

Status Participant::NoEntry(const std::string& what, const std::string& advice,
                            const char* option) const {
  return ResourceExhaustedError(
      memory_->name() + ": pool is full: " + what + ", whatever memory is free; " + advice +
      "; one made anew may have more (daxfsctl pool create " + option + ")");
}

bool Participant::MakeRoom(const Need& need, Attempts& attempts) {
  if (!collected_) return false;
  const bool entry = need.chunks == 0 && need.granules == 0;
  CollectOptions options;
  if (entry) {
    // Where what is held fills the table, or this part of it, nothing that goes helps.
    if (attempts.made == kEntryAttempts) return false;
    options.wanted_objects = kEntriesAtOnce;
  } else {
    const Obtainable may_have = WhatIsObtainable(*memory_);
    if (may_have.chunks < need.chunks || may_have.granules < need.granules) return false;
    const std::uint64_t at_once = memory_->chunks() / kPartAtOnce * DAXFS_CHUNK_SIZE;
    options.wanted_bytes = std::max({need.chunks * DAXFS_CHUNK_SIZE,
                                     std::uint64_t{need.granules} << DAXFS_GRANULE_SHIFT, at_once});
  }
  const std::vector<Collected> gone = Collect(options);
  if (!gone.empty()) {
    ++attempts.made;
    attempts.idle = 0;
    collected_(gone);
    return true;
  }
  // Others may be freeing the same objects, or just have.
  if (++attempts.idle > kIdleAttempts) return false;
  std::this_thread::sleep_for(kIdle);
  return true;
}

void Participant::CollectWhenFull(WhenCollected collected) { collected_ = std::move(collected); }

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
  std::vector<Collected> collected;
  std::uint64_t freed = 0;
  for (const ObjectView& object : Unreferenced(*memory_)) {
    if (freed >= options.wanted_bytes || collected.size() >= options.wanted_objects) break;
    if (!options.dry_run && !CollectOne(object.ref).ok()) continue;
    collected.push_back({object.ref, object.digest, object.pool_bytes, object.used});
    freed += object.pool_bytes;
  }
  return collected;
}

}  // namespace daxfs::pool
