// SPDX-License-Identifier: Apache-2.0
#include "pool_world.hpp"

enum daxfs_rule daxfs_sim_rule_left_out = DAXFS_RULE_NONE;

namespace daxfs::sim {

PoolWorld::PoolWorld(Spec spec) : spec_(std::move(spec)) {
  pool_.rows = words_.data();
  pool_.slots = &words_[kSlotAt];
  pool_.uses = &words_[kUseAt];
  pool_.owners = &words_[kOwnerAt];
  pool_.hold_states = &words_[kHoldAt];
  pool_.hold_targets = &words_[kHoldAt + 1];
  pool_.row_count = pool_.use_words = pool_.hold_count = 1;
  pool_.slot_count = static_cast<uint32_t>(spec_.programs.size());
  pool_.owner_count = kChunks;
}

void PoolWorld::Reset() {
  words_[0].raw = daxfs_word_make(spec_.row_free ? DAXFS_ROW_FREE : DAXFS_ROW_READY, 0, 1);
  if (!spec_.row_free) {
    words_[kOwnerAt].raw = daxfs_reference(0, 1);
    ghosts_[kChunkAt + 1] = 1;
  }
  if (spec_.orphan) words_[kOwnerAt + 1].raw = daxfs_reference(0, 0);
  for (uint32_t slot = 0; slot < pool_.slot_count; ++slot)
    if ((spec_.attached >> slot) & 1)
      words_[kSlotAt + slot].raw = daxfs_word_make(DAXFS_SLOT_ATTACHED, 0, 0);
}

// What the kernel does on release, and a tool that states a host is off.
void PoolWorld::Departed(size_t participant, Exit how) {
  if (how == Exit::kStops) {
    ghosts_[kStalledAt] = 1;  // it keeps what it has
    return;
  }
  ghosts_[participant] = 0;
  words_[kSlotAt + participant].raw = daxfs_word_make(DAXFS_SLOT_DEAD, 0, 0);
}

void PoolWorld::Use(uint32_t slot, uint64_t generation) {
  if (daxfs_use_take(&pool_, slot, 0, generation) != 0) return;
  ghosts_[slot] = generation + 1;
  daxfs_load(&words_[kSlotAt + slot]);  // time passes, as a mount's would
  ghosts_[slot] = 0;
  daxfs_use_drop(&pool_, slot, 0);
}

void PoolWorld::Hold(uint32_t slot, uint64_t generation) {
  __u64 word = 0;
  if (daxfs_hold_take(&pool_, slot, 0, 0, generation, nullptr, &word) != 0) return;
  ghosts_[kHeldAt] = generation + 1;
  daxfs_load(&words_[kSlotAt + slot]);
  ghosts_[kHeldAt] = 0;
  daxfs_hold_drop(&pool_, 0, word);
}

void PoolWorld::Build(uint32_t slot, uint32_t chunk) {
  __u64 generation = 0;
  if (daxfs_row_claim(&pool_, slot, 0, &generation) != 0) return;
  if (daxfs_chunk_take(&pool_, chunk, 0, generation) != 0) {
    daxfs_row_abandon(&pool_, slot, 0, generation);
    return;
  }
  ghosts_[kChunkAt + generation] = chunk + 1;
  if (daxfs_row_publish(&pool_, slot, 0, generation) != 0) return;
  daxfs_fence();  // nobody is told before it is there
  ghosts_[slot] = generation + 1;
  daxfs_load(&words_[kSlotAt + slot]);
  ghosts_[slot] = 0;
  daxfs_use_drop(&pool_, slot, 0);
}

void PoolWorld::AwaitRow(uint32_t state) {
  Machine::Current().Await([this, state] { return daxfs_word_state(words_[0].raw) == state; });
}

void PoolWorld::AwaitSlot(uint32_t slot, uint32_t state) {
  Machine::Current().Await(
      [this, slot, state] { return daxfs_word_state(words_[kSlotAt + slot].raw) == state; });
}

// Is that life of the row still there, with its chunk?
bool PoolWorld::Alive(uint64_t generation) const {
  const uint64_t word = words_[0].raw;
  const uint32_t state = daxfs_word_state(word);
  if (state != DAXFS_ROW_READY && state != DAXFS_ROW_DYING) return false;
  return daxfs_word_generation(word) == generation;
}

std::string PoolWorld::Always() {
  for (uint32_t slot = 0; slot < kSlots; ++slot)
    if (ghosts_[slot] != 0 && !Alive(ghosts_[slot] - 1))
      return "the object of a reported use is gone";
  if (ghosts_[kHeldAt] != 0 && !Alive(ghosts_[kHeldAt] - 1))
    return "the object of a reported hold is gone";
  const uint64_t generation = daxfs_word_generation(words_[0].raw);
  if (generation >= kGenerations) return "more lives than the world has room for";
  if (!Alive(generation)) return "";
  const uint64_t chunk = ghosts_[kChunkAt + generation];
  if (chunk == 0 || words_[kOwnerAt + chunk - 1].raw != daxfs_reference(0, generation))
    return "a live object does not own its chunk";
  return "";
}

std::string PoolWorld::AtEnd() {
  if (ghosts_[kStalledAt] != 0) return "";  // what it had begun waits until it is stated to be off
  const uint32_t state = daxfs_word_state(words_[0].raw);
  if (state != DAXFS_ROW_FREE && state != DAXFS_ROW_READY) return "the row is left half-way";
  for (uint32_t slot = 0; slot < pool_.slot_count; ++slot) {
    if (words_[kUseAt + slot].raw != 0) return "a use is left over";
    const uint32_t slot_state = daxfs_word_state(words_[kSlotAt + slot].raw);
    if (slot_state != DAXFS_SLOT_FREE && slot_state != DAXFS_SLOT_ATTACHED)
      return "a dead slot is left over";
  }
  if (daxfs_word_state(words_[kHoldAt].raw) == DAXFS_HOLD_CLAIMED)
    return "a claimed hold is left over";
  const uint64_t generation = daxfs_word_generation(words_[0].raw);
  for (uint32_t chunk = 0; chunk < kChunks; ++chunk) {
    const uint64_t owner = words_[kOwnerAt + chunk].raw;
    if (owner != 0 && (state != DAXFS_ROW_READY || owner != daxfs_reference(0, generation)))
      return "a chunk is left over";
  }
  return "";
}

std::string PoolWorld::WordName(size_t index) const {
  if (index == 0) return "row";
  if (index < kUseAt) return "slot" + std::to_string(index - kSlotAt);
  if (index < kOwnerAt) return "uses" + std::to_string(index - kUseAt);
  if (index < kHoldAt) return "owner" + std::to_string(index - kOwnerAt);
  return index == kHoldAt ? "hold" : "target";
}

std::string PoolWorld::Show(size_t index, uint64_t value) const {
  static const char* const kRow[] = {"free", "building", "ready", "dying", "reclaiming"};
  static const char* const kSlot[] = {"free", "attached", "dead", "sweeping"};
  static const char* const kHold[] = {"free", "claimed", "valid"};
  const uint32_t state = daxfs_word_state(value);
  const std::string rest = "(" + std::to_string(daxfs_word_slot(value)) + ") " +
                           std::to_string(daxfs_word_generation(value));
  if (index == 0 && state < std::size(kRow)) return kRow[state] + rest;
  if (index >= kSlotAt && index < kUseAt && state < std::size(kSlot)) return kSlot[state] + rest;
  if (index == kHoldAt && state < std::size(kHold)) return kHold[state] + rest;
  if (index >= kOwnerAt && value != 0)
    return "row " + std::to_string((value & 0xffffff) - 1) + " of " +
           std::to_string(daxfs_word_generation(value));
  return std::to_string(value);
}

namespace {

using Program = PoolWorld::Program;

Program Reader() {
  return [](PoolWorld& world, uint32_t self) { world.Use(self, 1); };
}

Program Collector(int times = 1) {
  return [times](PoolWorld& world, uint32_t self) {
    for (int i = 0; i < times; ++i) daxfs_collect(&world.pool(), self, 0);
  };
}

Program Builder(uint32_t chunk = 0) {
  return [chunk](PoolWorld& world, uint32_t self) {
    world.AwaitRow(DAXFS_ROW_FREE);
    world.Build(self, chunk);
  };
}

Program Holder() {
  return [](PoolWorld& world, uint32_t self) { world.Hold(self, 1); };
}

Program Sweeper(uint32_t dead, bool collects = false) {
  return [dead, collects](PoolWorld& world, uint32_t self) {
    world.AwaitSlot(dead, DAXFS_SLOT_DEAD);
    daxfs_sweep(&world.pool(), self, dead);
    if (collects) daxfs_collect(&world.pool(), self, 0);
  };
}

// Frees a chunk if its owner's life is over.
Program Finder(uint32_t chunk = 0) {
  return [chunk](PoolWorld& world, uint32_t) { daxfs_chunk_free_orphan(&world.pool(), chunk); };
}

// Attaches to slot 0 when it is free, whoever had it, and takes a use.
Program Newcomer() {
  return [](PoolWorld& world, uint32_t) {
    world.AwaitSlot(0, DAXFS_SLOT_FREE);
    if (daxfs_attach(&world.pool(), 0, 0) == 0) world.Use(0, 1);
  };
}

// Sweeps a sweeper that died, then goes on with what that one was sweeping.
Program Heir() {
  return [](PoolWorld& world, uint32_t self) {
    world.AwaitSlot(1, DAXFS_SLOT_DEAD);
    daxfs_sweep(&world.pool(), self, 1);
    world.AwaitSlot(0, DAXFS_SLOT_DEAD);
    daxfs_sweep(&world.pool(), self, 0);
  };
}

std::vector<PoolWorld::Spec> Specs() {
  const std::vector<Departure> dies = {{0, Exit::kDies}}, off = {{0, Exit::kPowerOff}};
  return {
      {.name = "A-use-collect", .programs = {Reader(), Collector()}},
      {.name = "A-use-collect-rebuild", .programs = {Reader(), Collector(), Builder(1)}},
      {.name = "A2-use-collect-finish", .programs = {Reader(), Collector(2), Collector()}},
      {.name = "B-hold-collect", .programs = {Holder(), Collector()}},
      {.name = "B-holder-dies",
       .programs = {Holder(), Collector(), Sweeper(0)},
       .departures = dies},
      {.name = "C-user-dies", .programs = {Reader(), Sweeper(0), Collector()}, .departures = dies},
      {.name = "F-orphans", .programs = {Collector(), Builder(), Finder()}},
      {.name = "F-orphan-taken",
       .programs = {Builder(1), Finder(1)},
       .row_free = true,
       .orphan = true},
      {.name = "G-builder-dies",
       .programs = {Builder(), Sweeper(0)},
       .departures = dies,
       .row_free = true},
      {.name = "G-collector-dies",
       .programs = {Collector(), Sweeper(0), Reader()},
       .departures = dies},
      {.name = "G-collector-off",
       .programs = {Collector(), Sweeper(0), Reader()},
       .departures = off},
      {.name = "G-builder-off",
       .programs = {Builder(), Sweeper(0)},
       .departures = off,
       .row_free = true},
      {.name = "H-publish-collect", .programs = {Builder(), Collector()}, .row_free = true},
      {.name = "X-attach-collect", .programs = {Newcomer(), Collector()}, .attached = 0xfe},
      {.name = "X-two-sweepers",
       .programs = {Reader(), Sweeper(0, true), Sweeper(0), Newcomer()},
       .departures = dies},
      {.name = "S-collector-stalls",
       .programs = {Collector(), Reader(), Collector()},
       .departures = {{0, Exit::kStops}}},
      {.name = "S-collector-stalls-rebuild",
       .programs = {Collector(), Reader(), Collector(), Builder(1)},
       .departures = {{0, Exit::kStops}},
       .large = true},
      {.name = "A2-two-of-each",
       .programs = {Reader(), Reader(), Collector(), Collector()},
       .large = true},
      {.name = "P-use-hold-collect-rebuild",
       .programs = {Reader(), Holder(), Collector(), Builder(1)},
       .large = true},
      {.name = "P-collector-dies-rebuild",
       .programs = {Collector(), Sweeper(0, true), Holder(), Builder(1)},
       .departures = dies,
       .large = true},
      {.name = "W-sweeper-dies",
       .programs = {Reader(), Sweeper(0), Heir()},
       .departures = {{0, Exit::kDies}, {1, Exit::kDies}}},
  };
}

}  // namespace

std::vector<std::unique_ptr<World>> PoolWorlds(bool large) {
  std::vector<std::unique_ptr<World>> worlds;
  for (PoolWorld::Spec& spec : Specs())
    if (large || !spec.large) worlds.push_back(std::make_unique<PoolWorld>(std::move(spec)));
  return worlds;
}

const std::vector<Removal>& Removals() {
  static const char* const use = "the object of a reported use is gone";
  static const char* const hold = "the object of a reported hold is gone";
  static const char* const chunk = "a live object does not own its chunk";
  static const std::vector<Removal> removals = {
      {"use-fence", DAXFS_RULE_USE_FENCE, "A-use-collect", Memory::kTso, use},
      {"use-recheck", DAXFS_RULE_USE_RECHECK, "A-use-collect", Memory::kSc, use},
      {"collect-fence", DAXFS_RULE_COLLECT_FENCE, "A-use-collect", Memory::kWeak, use},
      {"collect-undo", DAXFS_RULE_COLLECT_UNDO, "A-use-collect", Memory::kSc,
       "the row is left half-way"},
      {"generation-end", DAXFS_RULE_GENERATION_END, "A-use-collect-rebuild", Memory::kSc, chunk},
      {"finish-remark", DAXFS_RULE_FINISH_REMARK, "A2-use-collect-finish", Memory::kSc, use},
      {"hold-fence", DAXFS_RULE_HOLD_FENCE, "B-hold-collect", Memory::kTso, hold},
      {"hold-recheck", DAXFS_RULE_HOLD_RECHECK, "B-hold-collect", Memory::kSc, hold},
      {"free-exact", DAXFS_RULE_FREE_EXACT, "F-orphans", Memory::kSc, chunk},
      {"orphan-order", DAXFS_RULE_ORPHAN_ORDER, "F-orphans", Memory::kSc, chunk},
      {"publish-use", DAXFS_RULE_PUBLISH_USE, "H-publish-collect", Memory::kSc, use},
      {"collect-slots", DAXFS_RULE_COLLECT_SLOTS, "X-attach-collect", Memory::kSc, use},
      {"free-exact", DAXFS_RULE_FREE_EXACT, "F-orphan-taken", Memory::kSc, chunk},
      {"sweep-claims", DAXFS_RULE_SWEEP_CLAIMS, "W-sweeper-dies", Memory::kSc,
       "a dead slot is left over"},
      {"sweep-claim", DAXFS_RULE_SWEEP_CLAIM, "X-two-sweepers", Memory::kSc, use},
  };
  return removals;
}

}  // namespace daxfs::sim
