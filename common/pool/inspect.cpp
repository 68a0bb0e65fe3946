// SPDX-License-Identifier: Apache-2.0
#include "common/pool/inspect.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

#include "common/base/units.hpp"

namespace daxfs::pool {
namespace {

constexpr int kReadTries = 8;

RowState StateOf(std::uint64_t word) {
  switch (daxfs_word_state(word)) {
    case DAXFS_ROW_FREE:
      return RowState::kFree;
    case DAXFS_ROW_BUILDING:
      return RowState::kBuilding;
    case DAXFS_ROW_READY:
      return RowState::kReady;
    case DAXFS_ROW_DYING:
      return RowState::kDying;
    case DAXFS_ROW_RECLAIMING:
      return RowState::kReclaiming;
    default:
      return RowState::kUnknown;
  }
}

// Do that host's references count?
bool Counts(const Memory& memory, std::uint32_t partition) {
  return partition == memory.partition() || daxfs_partition_is_off(&memory.words(), partition) == 0;
}

// How many participants use each row, of all partitions' hosts.
std::vector<std::uint32_t> UsesOfRows(const Memory& memory) {
  const daxfs_pool& home = memory.words();
  std::vector<std::uint32_t> uses(home.row_count);
  for (std::uint32_t i = 0; i < memory.partition_count() * home.slot_count; ++i) {
    const daxfs_pool& words = memory.partition(i / home.slot_count);
    const std::uint32_t slot = i % home.slot_count;
    const bool is_free =
        daxfs_word_state(daxfs_load_anew(words.role, &words.slots[slot], 1)) == DAXFS_SLOT_FREE;
    if (is_free || !Counts(memory, words.partition)) continue;
    for (std::uint32_t n = 0; n < words.use_words; ++n) {
      std::uint64_t bits = daxfs_load_anew(words.role, &daxfs_uses_of(&words, slot, &home)[n], 1);
      for (; bits != 0; bits &= bits - 1) {
        const std::uint32_t row = n * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
        if (row < words.row_count) ++uses[row];
      }
    }
  }
  return uses;
}

std::vector<std::uint32_t> HoldsOfRows(const Memory& memory) {
  std::vector<std::uint32_t> holds(memory.words().row_count);
  for (std::uint32_t p = 0; p < memory.partition_count(); ++p) {
    const daxfs_pool& words = memory.partition(p);
    for (std::uint32_t i = 0; Counts(memory, p) && i < words.hold_count; ++i) {
      const std::uint64_t state = daxfs_load_anew(words.role, &words.hold_states[i], 1);
      if (daxfs_word_state(state) != DAXFS_HOLD_VALID) continue;
      const std::uint64_t target = daxfs_load_anew(words.role, &words.hold_targets[i], 1);
      const Ref ref = RefOf(words, target);
      if (ref.partition == memory.partition() && TargetLives(memory, target)) ++holds[ref.row];
    }
  }
  return holds;
}

// Runs of neighbouring chunks an object lies in.
std::uint32_t Fragments(const Memory& memory, Ref ref, const daxfs_object_info& object) {
  if (object.chunk_count == 0 || object.chunk_count > memory.words().owner_count) return 1;
  std::vector<std::uint32_t> chunks(object.chunk_count);
  const char* why = "";
  if (daxfs_object_chunks(&memory.words(), ref.row, ref.generation, &object, chunks.data(),
                          object.chunk_count, &why) != 0) {
    return 0;
  }
  std::uint32_t runs = 1;
  for (std::size_t i = 1; i < chunks.size(); ++i) runs += chunks[i] != chunks[i - 1] + 1 ? 1U : 0U;
  return runs;
}

}  // namespace

bool TargetLives(const Memory& memory, std::uint64_t target) {
  __u32 row = 0;
  const daxfs_pool* const home = daxfs_target_home(&memory.words(), target, &row);
  if (target == 0 || home == nullptr) return false;
  const std::uint64_t word = daxfs_load_anew(home->role, &home->rows[row], 1);
  return daxfs_word_generation(word) == daxfs_word_generation(target) &&
         daxfs_word_state(word) != DAXFS_ROW_FREE && daxfs_word_state(word) != DAXFS_ROW_RECLAIMING;
}

bool OwnerLives(const Memory& memory, std::uint64_t owner) {
  const std::uint32_t row = daxfs_reference_row(owner);
  return owner != 0 && row < memory.words().row_count &&
         TargetLives(memory, daxfs_target(&memory.words(), row, daxfs_word_generation(owner)));
}

const char* RowStateName(RowState state) {
  static constexpr std::array<const char*, 6> kNames = {"free",  "building",   "ready",
                                                        "dying", "reclaiming", "unknown"};
  return kNames.at(static_cast<std::size_t>(state));
}

const char* ObjectKindName(std::uint32_t kind) {
  switch (kind) {
    case DAXFS_OBJECT_IMAGE:
      return "image";
    case DAXFS_OBJECT_BLOB:
      return "blob";
    default:
      return "unknown";
  }
}

const char* ContentionName(std::size_t number) {
  static constexpr std::array<const char*, DAXFS_CONTENTION_COUNT> kNames = {
      "chunks", "granules", "rows", "aliases", "looks", "waits", "undone", "sweeps"};
  return kNames.at(number);
}

const char* HoldKindName(std::uint32_t kind) {
  switch (kind) {
    case DAXFS_HOLD_ADMIN:
      return "admin";
    case DAXFS_HOLD_SNAPSHOT:
      return "snapshot";
    case DAXFS_HOLD_VOLUME:
      return "volume";
    case DAXFS_HOLD_STAGE:
      return "stage";
    default:
      return "unknown";
  }
}

namespace {

Contention Read(void (*read)(const daxfs_pool*, __u32, __u64*), const daxfs_pool& words,
                std::uint32_t number) {
  std::array<__u64, DAXFS_CONTENTION_COUNT> counts{};
  read(&words, number, counts.data());
  Contention contention{};
  std::copy(counts.begin(), counts.end(), contention.begin());
  return contention;
}

// What a row says at this moment; free if there is no object, nothing if it has just changed.
std::optional<ObjectView> ViewRow(const Memory& memory, std::uint32_t row) {
  const daxfs_pool& words = memory.words();
  const std::uint64_t word = daxfs_load(&words.rows[row]);
  ObjectView view;
  view.state = StateOf(word);
  if (view.state == RowState::kFree) return view;
  view.ref = {row, daxfs_word_generation(word), memory.partition()};
  view.slot = daxfs_word_slot(word);
  daxfs_object_info object;
  daxfs_object_read(&words, row, &object);
  view.progress_bytes = object.progress;
  if (view.state == RowState::kReady || view.state == RowState::kDying) {
    view.kind = object.kind;
    view.size_bytes = object.size;
    view.pool_bytes = object.chunk_count * std::uint64_t{DAXFS_CHUNK_SIZE} +
                      object.granule_count * std::uint64_t{DAXFS_GRANULE_SIZE};
    view.created = object.created;
    view.used = object.used;
    view.chunks = object.chunk_count;
    view.granules = object.granule_count;
    view.fragments = Fragments(memory, view.ref, object);
    std::memcpy(view.digest.data(), object.digest, view.digest.size());
  }
  // What was read belongs together only if the row was the same all the while.
  if (daxfs_word_generation(daxfs_load(&words.rows[row])) != view.ref.generation) {
    return std::nullopt;
  }
  return view;
}

}  // namespace

std::vector<ObjectView> ListObjects(const Memory& memory) {
  const std::vector<std::uint32_t> uses = UsesOfRows(memory);
  const std::vector<std::uint32_t> holds = HoldsOfRows(memory);
  std::map<Ref, std::vector<std::string>> names;
  for (NameView& name : ListNames(memory)) names[name.ref].push_back(std::move(name.name));
  std::vector<ObjectView> objects;
  for (std::uint32_t row = 0; row < memory.words().row_count; ++row) {
    std::optional<ObjectView> view;
    for (int i = 0; i < kReadTries && !view; ++i) view = ViewRow(memory, row);
    if (!view || view->state == RowState::kFree) continue;
    if (view->state == RowState::kReady || view->state == RowState::kDying) {
      view->uses = uses[row];
      view->holds = holds[row];
      if (const auto found = names.find(view->ref); found != names.end()) {
        view->names = found->second;
      }
    }
    objects.push_back(*std::move(view));
  }
  return objects;
}

std::vector<SlotView> ListSlots(const Memory& memory) {
  static constexpr std::array<const char*, 4> kStates = {"free", "attached", "dead", "sweeping"};
  const daxfs_pool& words = memory.words();
  std::vector<SlotView> slots;
  for (std::uint32_t slot = 0; slot < words.slot_count; ++slot) {
    const std::uint64_t word = daxfs_load(&words.slots[slot]);
    const std::uint32_t state = daxfs_word_state(word);
    if (state == DAXFS_SLOT_FREE) continue;
    SlotView view;
    view.slot = slot;
    view.state = state < kStates.size() ? kStates.at(state) : "unknown";
    view.host = memory.partition() + daxfs_word_slot(word);
    view.kernel = daxfs_slot_is_kernel(word) != 0;
    daxfs_participant_info info;
    daxfs_participant_read(&words, slot, &info);
    view.pid = info.pid;
    view.name = info.name;
    view.started = info.started;
    view.heartbeat = info.heartbeat;
    view.contention = Read(daxfs_contention_read, words, slot);
    for (std::uint32_t i = 0; i < words.use_words; ++i) {
      view.uses +=
          static_cast<std::uint32_t>(std::popcount(daxfs_load(&daxfs_slot_uses(&words, slot)[i])));
    }
    slots.push_back(std::move(view));
  }
  return slots;
}

std::vector<HostView> ListHosts(const Memory& memory) {
  const daxfs_pool& words = memory.words();
  std::vector<HostView> hosts;
  for (std::uint32_t host = 0; host < words.host_count; ++host) {
    daxfs_host_info info;
    if (daxfs_host_read(&words, host, &info) == 0) continue;
    HostView view;
    view.host = memory.partition() + host;
    view.key = info.key;
    view.leaving = info.key == daxfs_key_leaving(info.key);
    std::memcpy(view.id.data(), info.id, view.id.size());
    view.name = info.name;
    view.heartbeat = info.heartbeat;
    view.contention = Read(daxfs_contention_gone, words, host);
    hosts.push_back(std::move(view));
  }
  const auto of = [&](std::uint32_t host) {
    return std::find_if(hosts.begin(), hosts.end(),
                        [&](const HostView& view) { return view.host == host; });
  };
  for (const SlotView& slot : ListSlots(memory)) {
    if (std::string_view(slot.state) != "attached") continue;
    const auto found = of(slot.host);
    if (found == hosts.end()) continue;
    ++found->participants;
    std::transform(slot.contention.begin(), slot.contention.end(), found->contention.begin(),
                   found->contention.begin(), std::plus<>());
    found->heartbeat = std::max(found->heartbeat, slot.heartbeat);  // a kernel has only its slot's
  }
  for (const HoldView& hold : ListHolds(memory)) {
    if (const auto found = of(hold.host); found != hosts.end()) ++found->holds;
  }
  return hosts;
}

std::vector<HostView> ListAllHosts(const Memory& memory) {
  if (memory.partition_count() == 1) return ListHosts(memory);
  std::vector<HostView> hosts;
  for (std::uint32_t i = 0; i < memory.partition_count(); ++i) {
    const Memory home = memory.At(i);
    home.ReadAnew();
    const std::vector<HostView> there = ListHosts(home);
    HostView host = there.empty() ? HostView{} : there.front();
    host.host = i;
    host.id = home.partition_host();
    hosts.push_back(std::move(host));
  }
  return hosts;
}

std::vector<HoldView> ListHolds(const Memory& memory) {
  const daxfs_pool& words = memory.words();
  std::vector<HoldView> holds;
  for (std::uint32_t i = 0; i < words.hold_count; ++i) {
    daxfs_hold_info info;
    if (daxfs_hold_read(&words, i, &info) == 0) continue;
    holds.push_back({memory.partition() + info.host, info.kind,
                     std::string(info.name, info.name_length), RefOf(memory.words(), info.target),
                     info.target, info.created});
  }
  return holds;
}

std::vector<NameView> ListNames(const Memory& memory) {
  const daxfs_index& index = memory.words().names;
  std::vector<NameView> names;
  std::array<__u64, DAXFS_NAME_WORDS> body{};
  for (std::uint32_t i = 0; i < daxfs_index_rows(&index); ++i) {
    const std::uint64_t word = daxfs_index_read(&index, i, body.data());
    const std::uint32_t state = daxfs_word_state(word);
    if (state != DAXFS_ALIAS_COMMITTED && state != DAXFS_ALIAS_MOVING) continue;
    if (!TargetLives(memory, body[DAXFS_BODY_TARGET])) continue;
    const std::size_t length =
        std::min<std::size_t>(body[DAXFS_BODY_KIND] >> 32U, DAXFS_POOL_TEXT_MAX);
    std::string text(length, '\0');
    std::memcpy(text.data(), &body[DAXFS_BODY_TEXT], length);
    names.push_back({std::move(text), RefOf(memory.words(), body[DAXFS_BODY_TARGET])});
  }
  return names;
}

namespace {

void CountChunks(const Memory& memory, UsageView& usage) {
  const daxfs_pool& words = memory.words();
  std::uint32_t run = 0;
  for (std::uint32_t chunk = 0; chunk < words.owner_count; ++chunk) {
    const std::uint64_t owner = daxfs_load(&words.owners[chunk]);
    if (owner == DAXFS_OWNER_ABSENT) {
      ++usage.chunks_absent;
      run = 0;
      continue;
    }
    ++usage.chunks;
    const bool merging = owner != 0 && daxfs_reference_row(owner) > DAXFS_ROW_MAX;
    bool free = owner == 0;
    if (merging) {
      ++usage.chunks_split;
      for (std::uint32_t i = 0; i < DAXFS_CHUNK_GRANULES; ++i) {
        const std::uint64_t granule = daxfs_load(&words.granules[chunk * DAXFS_CHUNK_GRANULES + i]);
        if (granule == 0) continue;
        (OwnerLives(memory, granule) ? usage.granules_used : usage.granules_orphan) += 1;
      }
    } else if (owner != 0 && daxfs_reference_row(owner) >= words.row_count) {
      ++usage.chunks_damaged;
    } else if (owner != 0 && !OwnerLives(memory, owner)) {
      ++usage.chunks_orphan;
      free = true;
    }
    if (owner == 0) ++usage.chunks_free;
    run = free ? run + 1 : 0;
    usage.largest_free_run = std::max(usage.largest_free_run, run);
  }
}

}  // namespace

UsageView Usage(const Memory& memory) {
  const daxfs_pool& words = memory.words();
  UsageView usage;
  CountChunks(memory, usage);
  for (const ObjectView& object : ListObjects(memory)) {
    ++usage.rows_used;
    if (object.state != RowState::kReady || object.uses + object.holds > 0) continue;
    if (object.kind != DAXFS_OBJECT_IMAGE && object.kind != DAXFS_OBJECT_BLOB) continue;
    ++usage.collectable_objects;
    usage.collectable_bytes += object.pool_bytes;
  }
  std::array<__u64, DAXFS_NAME_WORDS> body{};
  for (const daxfs_index* index : {&words.aliases, &words.names}) {
    for (std::uint32_t i = 0; i < daxfs_index_rows(index); ++i) {
      if (daxfs_word_state(daxfs_load(&index->words[i])) == DAXFS_ALIAS_FREE) continue;
      daxfs_index_read(index, i, body.data());
      (TargetLives(memory, body[DAXFS_BODY_TARGET]) ? usage.aliases_used : usage.aliases_stale) +=
          1;
    }
  }
  for (std::uint32_t i = 0; i < words.hold_count; ++i) {
    if (daxfs_word_state(daxfs_load(&words.hold_states[i])) == DAXFS_HOLD_VALID) {
      ++usage.holds_used;
    }
  }
  return usage;
}

std::string WhatCouldGo(const UsageView& usage) {
  const std::uint32_t objects = usage.collectable_objects;
  if (objects == 0 && usage.rows_used == 0) return "nothing is in it";
  if (objects == 0) {
    return "all objects in it are in use or held (by whom: daxfsctl pool info POOL --json)";
  }
  return std::to_string(objects) + (objects == 1 ? " object of " : " objects of ") +
         base::HumanSize(usage.collectable_bytes) + (objects == 1 ? " is" : " are") +
         " used by nobody: daxfsctl pool gc frees (--dry-run shows) them";
}

}  // namespace daxfs::pool
