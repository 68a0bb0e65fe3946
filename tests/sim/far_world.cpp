// SPDX-License-Identifier: Apache-2.0
#include "far_world.hpp"

namespace daxfs::sim {

FarWorld::FarWorld(Spec spec) : spec_(std::move(spec)) {
  slot_at_ = kRows;
  use_at_ = slot_at_ + kSlots;
  owner_at_ = use_at_ + size_t{kSlots} * spec_.hosts;
  hold_at_ = owner_at_ + kRows;
  stated_at_ = hold_at_ + 2;
  alias_at_ = stated_at_ + spec_.hosts;
  body_at_ = alias_at_ + spec_.aliases;
  mark_at_ = body_at_ + spec_.aliases * size_t{DAXFS_ALIAS_WORDS};
  bytes_at_ = mark_at_ + 1;
  partition_words_ = bytes_at_ + kRows;
  words_.resize(partition_words_ * spec_.hosts);
  for (uint32_t host = 0; host < spec_.hosts; ++host) {
    for (uint32_t home = 0; home < spec_.hosts; ++home) {
      daxfs_pool& view = views_[host][home];
      daxfs_word* at = &words_[home * partition_words_];
      view.role = host == home ? DAXFS_ROLE_HOME : DAXFS_ROLE_FAR;
      view.partition = home;
      view.partition_count = spec_.hosts;
      view.partitions = views_[host].data();
      view.rows = at;
      view.slots = at + slot_at_;
      view.uses = at + use_at_;
      view.owners = at + owner_at_;
      view.hold_states = at + hold_at_;
      view.hold_targets = at + hold_at_ + 1;
      view.stated = at + stated_at_;
      view.row_count = view.owner_count = kRows;
      view.slot_count = kSlots;
      view.use_words = view.hold_count = 1;
      view.aliases.words = at + alias_at_;
      view.aliases.bodies = at + body_at_;
      view.aliases.overflow_used = at + mark_at_;
      view.aliases.body_words = DAXFS_ALIAS_WORDS;
      view.aliases.overflow = spec_.aliases;
      view.aliases.role = view.role;
    }
  }
}

void FarWorld::Reset() {
  for (uint32_t row = 0; row < kRows; ++row) {
    SetRow(row, row < spec_.ready ? DAXFS_ROW_READY : DAXFS_ROW_FREE, 1);
    if (row < spec_.ready) words_[owner_at_ + row].raw = daxfs_reference(row, 1);
  }
  for (uint32_t host = 0; host < spec_.hosts; ++host) {
    daxfs_word* at = &words_[host * partition_words_];
    for (uint32_t slot = 0; slot < kSlots; ++slot)
      at[slot_at_ + slot].raw = daxfs_word_make(DAXFS_SLOT_ATTACHED, 0, 0);
    if (spec_.free_slots && host > 0) at[slot_at_].raw = 0;
    at[stated_at_ + host].raw = 1;
    for (uint32_t alias = 0; alias < spec_.aliases; ++alias)
      at[body_at_ + alias * size_t{DAXFS_ALIAS_WORDS} + DAXFS_BODY_KIND].raw = DAXFS_ALIAS_NAME;
  }
  if (spec_.begin) spec_.begin(*this);
}

// Slots stay attached; keys differ in their first number alone.
bool FarWorld::Constant(size_t index) const {
  const size_t word = index % partition_words_;
  if (word < body_at_ || word >= mark_at_) return false;
  const size_t field = (word - body_at_) % DAXFS_ALIAS_WORDS;
  return field != DAXFS_BODY_KEY && field != DAXFS_BODY_TARGET;
}

daxfs_word* FarWorld::Bytes(uint32_t row) { return &words_[bytes_at_ + row]; }

void FarWorld::SetRow(uint32_t row, uint32_t state, uint64_t generation) {
  words_[row].raw = daxfs_word_make(state, 0, generation);
}

void FarWorld::SetStated(uint32_t by, uint32_t host, uint64_t life) {
  words_[by * partition_words_ + stated_at_ + host].raw = life;
}

void FarWorld::Put(uint32_t position, uint64_t key, uint64_t target) {
  daxfs_word* body = &words_[body_at_ + position * size_t{DAXFS_ALIAS_WORDS}];
  body[DAXFS_BODY_KEY].raw = key;
  body[DAXFS_BODY_TARGET].raw = target;
  words_[alias_at_ + position].raw = daxfs_word_make(DAXFS_ALIAS_COMMITTED, 0, 1);
  if (words_[mark_at_].raw <= position) words_[mark_at_].raw = position + 1;
}

void FarWorld::Report(uint32_t self, uint32_t row, uint64_t generation) {
  ghosts_[self] = daxfs_reference(row, generation);
  daxfs_load(&Own(self).slots[SlotOf(self)]);  // a step, as time passes
  ghosts_[self] = 0;
}

void FarWorld::AwaitTold(uint32_t told) {
  Machine::Current().Await([this, told] { return ghosts_[kToldAt + told] != 0; });
}

bool FarWorld::Alive(uint64_t reference) const {
  const uint64_t word = words_[daxfs_reference_row(reference)].raw;
  const uint32_t state = daxfs_word_state(word);
  return (state == DAXFS_ROW_READY || state == DAXFS_ROW_DYING) &&
         daxfs_word_generation(word) == daxfs_word_generation(reference);
}

std::string FarWorld::Always() {
  if (ghosts_[kWrongAt] != 0) return WrongText(static_cast<Wrong>(ghosts_[kWrongAt]));
  for (size_t participant = 0; participant < kToldAt; ++participant)
    if (ghosts_[participant] != 0 && !Alive(ghosts_[participant]))
      return "the object of a reported reference is gone";
  return "";
}

std::string FarWorld::WordName(size_t index) const {
  static const char* const kNames[] = {"row",    "slot",  "uses", "owner", "hold",
                                       "stated", "alias", "body", "mark",  "bytes"};
  const size_t begins[] = {0,          slot_at_,  use_at_,  owner_at_, hold_at_,
                           stated_at_, alias_at_, body_at_, mark_at_,  bytes_at_};
  const size_t word = index % partition_words_;
  size_t kind = std::size(begins) - 1;
  while (begins[kind] > word) --kind;
  return "host" + std::to_string(HomeOf(index)) + "." + kNames[kind] +
         std::to_string(word - begins[kind]);
}

}  // namespace daxfs::sim
