// SPDX-License-Identifier: Apache-2.0
#include "pool_world.hpp"

#include <bit>
#include <cstddef>

daxfs_rules daxfs_sim_rules_left_out = 0;

namespace daxfs::sim {

constexpr size_t kRecordWords = sizeof(daxfs_pool_slot) / sizeof(daxfs_word),
                 kLockWord = offsetof(daxfs_pool_slot, lock) / sizeof(daxfs_word);

PoolWorld::PoolWorld(Spec spec) : spec_(std::move(spec)) {
  const uint32_t slots = static_cast<uint32_t>(spec_.programs.size());
  const uint32_t granules = spec_.granules ? spec_.chunks * DAXFS_CHUNK_GRANULES : 0;
  slot_at_ = spec_.rows;
  use_at_ = slot_at_ + slots;
  owner_at_ = use_at_ + slots;
  granule_at_ = owner_at_ + spec_.chunks;
  hold_at_ = granule_at_ + granules;
  name_at_ = hold_at_ + 2;
  names_ = spec_.buckets * DAXFS_BUCKET_ROWS + spec_.names;
  body_at_ = name_at_ + names_;
  mark_at_ = body_at_ + names_ * size_t{DAXFS_ALIAS_WORDS};
  scratch_at_ = mark_at_ + 1;
  record_at_ = scratch_at_ + kScratch;
  host_at_ = record_at_ + (spec_.records ? slots * kRecordWords : 0);
  words_.resize(host_at_ + (spec_.host ? 1 : 0));
  pool_.rows = words_.data();
  pool_.slots = &words_[slot_at_];
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): a record is words here
  if (spec_.records) pool_.slot_records = reinterpret_cast<daxfs_pool_slot*>(&words_[record_at_]);
  if (spec_.host) pool_.hosts = &words_[host_at_];
  pool_.host_count = spec_.host ? 1 : 0;
  pool_.uses = &words_[use_at_];
  pool_.owners = &words_[owner_at_];
  pool_.granules = &words_[granule_at_];
  pool_.hold_states = &words_[hold_at_];
  pool_.hold_targets = &words_[hold_at_ + 1];
  pool_.use_words = pool_.hold_count = pool_.partition_count = 1;
  pool_.row_count = spec_.rows;
  pool_.slot_count = slots;
  pool_.owner_count = spec_.chunks;
  pool_.granule_count = granules;
  pool_.names.words = &words_[name_at_];
  pool_.names.bodies = &words_[body_at_];
  pool_.names.overflow_used = &words_[mark_at_];
  pool_.names.body_words = DAXFS_ALIAS_WORDS;
  pool_.names.buckets = spec_.buckets;
  pool_.names.overflow = spec_.names;
}

void PoolWorld::Reset() {
  for (uint32_t row = 0; row < spec_.rows; ++row) {
    SetRow(row, row < spec_.ready ? DAXFS_ROW_READY : DAXFS_ROW_FREE, 1);
    if (row >= spec_.ready || spec_.granules) continue;
    SetOwner(row, daxfs_reference(row, 1));
    Owns(row, 1, 1ULL << row);
  }
  if (spec_.granules) SetOwner(0, DAXFS_OWNER_SPLIT);
  for (uint32_t slot = 0; slot < pool_.slot_count; ++slot)
    if ((spec_.attached >> slot) & 1)
      words_[slot_at_ + slot].raw = daxfs_word_make(DAXFS_SLOT_ATTACHED, 0, 0);
  if (spec_.host) words_[host_at_].raw = kHostKey;
  words_[mark_at_].raw = spec_.names;
  for (uint32_t name = 0; name < names_; ++name)
    words_[body_at_ + name * size_t{DAXFS_ALIAS_WORDS} + DAXFS_BODY_KIND].raw = Key(0).kind;
  if (spec_.begin) spec_.begin(*this);
}

// Elsewhere keys differ in their first number alone, so that all have one tag.
bool PoolWorld::Constant(size_t index) const {
  if (index < slot_at_) return (spec_.still & kRows) != 0;
  if (index >= host_at_) return false;
  if (index >= record_at_) return (index - record_at_) % kRecordWords != kLockWord;
  if (index == mark_at_) return (spec_.still & kMark) != 0;
  if (index < body_at_ || index > mark_at_) return false;
  if ((spec_.still & kBodies) != 0) return true;
  const size_t word = (index - body_at_) % DAXFS_ALIAS_WORDS;
  return word != DAXFS_BODY_KEY && word != DAXFS_BODY_TARGET;
}

// What the kernel does on release, and a tool that states a host is off.
void PoolWorld::Departed(size_t participant, Exit how) {
  if (how == Exit::kStops) {
    ghosts_[kStalledAt] = 1;  // it keeps what it has
    return;
  }
  ghosts_[participant] = 0;
  words_[slot_at_ + participant].raw = daxfs_word_make(DAXFS_SLOT_DEAD, 0, 0);
}

void PoolWorld::SetRow(uint32_t row, uint32_t state, uint64_t generation) {
  words_[row].raw = daxfs_word_make(state, 0, generation);
}

void PoolWorld::SetLock(uint32_t slot, uint64_t lock) {
  words_[record_at_ + slot * kRecordWords + kLockWord].raw = lock;
}

uint32_t PoolWorld::Put(uint64_t key, uint64_t target) {
  uint32_t position = 0;
  while (words_[name_at_ + position].raw != 0) ++position;
  daxfs_word* body = &words_[body_at_ + position * size_t{DAXFS_ALIAS_WORDS}];
  body[DAXFS_BODY_KEY].raw = key;
  body[DAXFS_BODY_TARGET].raw = target;
  words_[name_at_ + position].raw = daxfs_word_make(DAXFS_ALIAS_COMMITTED, 0, 1);
  return position;
}

void PoolWorld::PutBodies(uint64_t key, uint64_t target) {
  for (uint32_t name = 0; name < names_; ++name) {
    daxfs_word* body = &words_[body_at_ + name * size_t{DAXFS_ALIAS_WORDS}];
    body[DAXFS_BODY_KEY].raw = key;
    body[DAXFS_BODY_TARGET].raw = target;
  }
}

uint64_t PoolWorld::Body(uint32_t position, uint32_t word) const {
  return words_[body_at_ + position * size_t{DAXFS_ALIAS_WORDS} + word].raw;
}

daxfs_alias PoolWorld::At(uint32_t position) const {
  return {words_[name_at_ + position].raw, Body(position, DAXFS_BODY_TARGET), position};
}

uint32_t PoolWorld::Committed(uint64_t key) const {
  uint32_t rows = 0;
  for (uint32_t name = 0; name < names_; ++name) {
    const uint32_t state = daxfs_word_state(words_[name_at_ + name].raw);
    rows += (state == DAXFS_ALIAS_COMMITTED || state == DAXFS_ALIAS_MOVING) &&
            Body(name, DAXFS_BODY_KEY) == key;
  }
  return rows;
}

void PoolWorld::OwnsNothing(uint32_t row) {
  for (uint32_t generation = 0; generation < kGenerations; ++generation)
    Owns(row, generation, 1ULL << 63);
}

void PoolWorld::Owns(uint32_t row, uint64_t generation, uint64_t chunks_and_granules) {
  ghosts_[kOwnsAt + row * kGenerations + generation] = chunks_and_granules;
}

void PoolWorld::Pass(uint32_t slot) { daxfs_load(&words_[slot_at_ + slot]); }

void PoolWorld::Report(uint32_t participant, uint32_t slot, uint64_t target) {
  ghosts_[participant] = target;
  Pass(slot);
  ghosts_[participant] = 0;
  daxfs_use_drop(&pool_, slot, daxfs_reference_row(target));
}

void PoolWorld::Use(uint32_t slot, uint64_t generation, uint32_t row) {
  if (daxfs_use_take(&pool_, slot, row, generation) == 0)
    Report(slot, slot, daxfs_reference(row, generation));
}

void PoolWorld::Hold(uint32_t slot, uint64_t generation) {
  __u64 word = 0;
  if (daxfs_hold_take(&pool_, slot, 0, &pool_, 0, generation, nullptr, &word) != 0) return;
  ghosts_[kHeldAt] = daxfs_reference(0, generation);
  Pass(slot);
  ghosts_[kHeldAt] = 0;
  daxfs_hold_drop(&pool_, 0, word);
}

bool PoolWorld::Claim(uint32_t slot, uint32_t row, uint32_t chunk, uint64_t* generation) {
  __u64 claimed = 0;
  if (daxfs_row_claim(&pool_, slot, row, &claimed) != 0) return false;
  *generation = claimed;
  if (daxfs_chunk_take(&pool_, chunk, row, claimed) != 0) {
    daxfs_row_abandon(&pool_, slot, row, claimed);
    return false;
  }
  Owns(row, claimed, 1ULL << chunk);
  return true;
}

bool PoolWorld::ClaimGranules(uint32_t slot, uint32_t row, uint32_t first, uint32_t count,
                              uint64_t* generation) {
  __u64 claimed = 0;
  if (daxfs_row_claim(&pool_, slot, row, &claimed) != 0) return false;
  *generation = claimed;
  if (daxfs_granules_take(&pool_, first, count, row, claimed) != 0) {
    daxfs_row_abandon(&pool_, slot, row, claimed);
    return false;
  }
  Owns(row, claimed, ((1ULL << count) - 1) << (kGranuleBit + first));
  return true;
}

void PoolWorld::Build(uint32_t slot, uint32_t chunk, uint32_t row) {
  uint64_t generation = 0;
  if (!Claim(slot, row, chunk, &generation)) return;
  if (daxfs_row_publish(&pool_, slot, row, generation) != 0) return;
  daxfs_fence();  // nobody is told before it is there
  Report(slot, slot, daxfs_reference(row, generation));
}

void PoolWorld::AwaitRow(uint32_t state, uint32_t row) {
  Machine::Current().Await(
      [this, state, row] { return daxfs_word_state(words_[row].raw) == state; });
}

void PoolWorld::AwaitSlot(uint32_t slot, uint32_t state) {
  Machine::Current().Await(
      [this, slot, state] { return daxfs_word_state(words_[slot_at_ + slot].raw) == state; });
}

void PoolWorld::AwaitName(uint32_t position, uint32_t state) {
  Machine::Current().Await([this, position, state] {
    return daxfs_word_state(words_[name_at_ + position].raw) == state;
  });
}

void PoolWorld::AwaitGhost(size_t number, uint64_t value) {
  Machine::Current().Await([this, number, value] { return ghost(number) == value; });
}

// Is that life of its row still there?
bool PoolWorld::Alive(uint64_t reference) const {
  const uint64_t word = words_[daxfs_reference_row(reference)].raw;
  const uint32_t state = daxfs_word_state(word);
  return (state == DAXFS_ROW_READY || state == DAXFS_ROW_DYING) &&
         daxfs_word_generation(word) == daxfs_word_generation(reference);
}

std::string PoolWorld::WrongRow(uint32_t row) const {
  const uint64_t generation = daxfs_word_generation(words_[row].raw);
  if (generation >= kGenerations) return "more lives than the world has room for";
  const uint64_t reference = daxfs_reference(row, generation);
  if (!Alive(reference)) return "";
  const uint64_t owned = ghosts_[kOwnsAt + row * kGenerations + generation];
  bool whole = owned != 0;
  for (uint32_t chunk = 0; chunk < spec_.chunks; ++chunk)
    if ((owned >> chunk) & 1) whole &= words_[owner_at_ + chunk].raw == reference;
  for (uint32_t granule = 0; granule < pool_.granule_count; ++granule)
    if ((owned >> (kGranuleBit + granule)) & 1)
      whole &= words_[granule_at_ + granule].raw == reference &&
               daxfs_owner_is_split(words_[owner_at_ + granule / DAXFS_CHUNK_GRANULES].raw) != 0;
  return whole ? "" : "a live object does not own its chunk";
}

// A key k of 10 or more is of row k mod 10: an alias that says otherwise is of two writers, or of
// another's flip.
std::string PoolWorld::WrongNames() const {
  for (uint32_t name = 0; name < names_; ++name) {
    const uint64_t key = Body(name, DAXFS_BODY_KEY);
    const uint32_t state = daxfs_word_state(words_[name_at_ + name].raw);
    if (state != DAXFS_ALIAS_COMMITTED && state != DAXFS_ALIAS_MOVING) continue;
    if (key >= 10 && daxfs_reference_row(Body(name, DAXFS_BODY_TARGET)) != key % 10)
      return "an alias names another's object";
    if (!spec_.duplicates && Committed(key) > 1) return "two rows of one name";
  }
  return "";
}

const char* WrongText(Wrong wrong) {
  static const char* const kTexts[] = {"",
                                       "a look-up missed what was there",
                                       "a look-up gave another's object",
                                       "bytes are read before they are there",
                                       "what was told to be there is lost",
                                       "what was free was refused"};
  return kTexts[static_cast<size_t>(wrong)];
}

std::string PoolWorld::Always() {
  if (ghosts_[kWrongAt] != 0) return WrongText(static_cast<Wrong>(ghosts_[kWrongAt]));
  for (uint32_t participant = 0; participant < kMost; ++participant)
    if (ghosts_[participant] != 0 && !Alive(ghosts_[participant]))
      return "the object of a reported use is gone";
  if (ghosts_[kHeldAt] != 0 && !Alive(ghosts_[kHeldAt]))
    return "the object of a reported hold is gone";
  for (uint32_t row = 0; row < spec_.rows; ++row)
    if (std::string wrong = WrongRow(row); !wrong.empty()) return wrong;
  return WrongNames();
}

std::string PoolWorld::LeftOver() const {
  for (uint32_t row = 0; row < spec_.rows; ++row) {
    const uint32_t state = daxfs_word_state(words_[row].raw);
    if (state != DAXFS_ROW_FREE && state != DAXFS_ROW_READY) return "the row is left half-way";
  }
  for (uint32_t slot = 0; slot < pool_.slot_count; ++slot) {
    if (words_[use_at_ + slot].raw != 0) return "a use is left over";
    const uint32_t state = daxfs_word_state(words_[slot_at_ + slot].raw);
    if (state != DAXFS_SLOT_FREE && state != DAXFS_SLOT_ATTACHED) return "a dead slot is left over";
  }
  if (daxfs_word_state(words_[hold_at_].raw) == DAXFS_HOLD_CLAIMED)
    return "a claimed hold is left over";
  for (uint32_t name = 0; name < names_; ++name) {
    const uint32_t state = daxfs_word_state(words_[name_at_ + name].raw);
    if (state != DAXFS_ALIAS_FREE && state != DAXFS_ALIAS_COMMITTED)
      return "an alias is left half-way";
  }
  for (size_t at = owner_at_; at < hold_at_; ++at) {
    const uint64_t owner = words_[at].raw;
    if (daxfs_owner_is_split(owner) != 0 && owner != DAXFS_OWNER_SPLIT)
      return "a merge is left over";
    // A granule of a chunk that is whole says nothing, and is an orphan when it is split again.
    if (at >= granule_at_ &&
        daxfs_owner_is_split(words_[owner_at_ + (at - granule_at_) / DAXFS_CHUNK_GRANULES].raw) ==
            0)
      continue;
    const bool row = owner != 0 && owner != DAXFS_OWNER_SPLIT;
    if (row && !Alive(owner)) return "a chunk is left over";
  }
  return "";
}

std::string PoolWorld::AtEnd() {
  if (ghosts_[kStalledAt] != 0) return "";  // what it had begun waits until it is stated to be off
  std::string wrong = LeftOver();
  return wrong.empty() && spec_.end ? spec_.end(*this) : wrong;
}

std::string PoolWorld::WordName(size_t index) const {
  static const char* const kNames[] = {"row",   "slot", "uses", "owner",   "granule", "hold",
                                       "alias", "body", "mark", "scratch", "record",  "host"};
  const size_t begins[] = {0,        slot_at_, use_at_,  owner_at_,   granule_at_, hold_at_,
                           name_at_, body_at_, mark_at_, scratch_at_, record_at_,  host_at_};
  size_t kind = std::size(begins) - 1;
  while (begins[kind] > index) --kind;
  const size_t number = index - begins[kind];
  if (begins[kind] == body_at_)
    return "body" + std::to_string(number / DAXFS_ALIAS_WORDS) +
           (number % DAXFS_ALIAS_WORDS == DAXFS_BODY_KEY ? ".key" : ".target");
  return kNames[kind] + std::to_string(number);
}

std::string PoolWorld::Show(size_t index, uint64_t value) const {
  static const char* const kRow[] = {"free", "building", "ready", "dying", "reclaiming"};
  static const char* const kSlot[] = {"free", "attached", "dead", "sweeping"};
  static const char* const kHold[] = {"free", "claimed", "valid"};
  static const char* const kAlias[] = {"free", "claimed", "tentative", "committed", "moving"};
  const uint32_t state = daxfs_word_state(value);
  const auto shown = [&](std::span<const char* const> states) {
    if (state >= states.size()) return std::to_string(value);
    return states[state] + ("(" + std::to_string(daxfs_word_slot(value))) + ") " +
           std::to_string(daxfs_word_generation(value));
  };
  if (index < slot_at_) return shown(kRow);
  if (index < use_at_) return shown(kSlot);
  if (index == hold_at_) return shown(kHold);
  if (index >= name_at_ && index < body_at_) return shown(kAlias);
  const bool target = index >= body_at_ && index < mark_at_ &&
                      (index - body_at_) % DAXFS_ALIAS_WORDS == DAXFS_BODY_TARGET;
  if (value == 0 || !(target || (index >= owner_at_ && index < name_at_)))
    return std::to_string(value);
  if (value == DAXFS_OWNER_SPLIT) return "split";
  if (daxfs_owner_is_split(value) != 0)
    return "merging(" + std::to_string(value >> DAXFS_OWNER_MERGER_SHIFT) + ")";
  return "row " + std::to_string(daxfs_reference_row(value)) + " of " +
         std::to_string(daxfs_word_generation(value));
}

std::vector<std::unique_ptr<World>> PoolWorlds(bool large) {
  std::vector<std::unique_ptr<World>> worlds;
  for (const auto& specs : {ObjectSpecs(), NameSpecs()})
    for (const PoolWorld::Spec& spec : specs)
      if (large || !(spec.large || spec.endless))
        worlds.push_back(std::make_unique<PoolWorld>(spec));
  for (auto& world : FarWorlds(large)) worlds.push_back(std::move(world));
  return worlds;
}

}  // namespace daxfs::sim
