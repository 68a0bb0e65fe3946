// SPDX-License-Identifier: Apache-2.0
// Small worlds over kernel-module/core's pool: a row or two, a few participants, every rule of
// docs/pool.md in reach.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pool_index.h"
#include "pool_slot.h"
#include "simulator.hpp"

namespace daxfs::sim {

// What a participant saw that may not be.
enum class Wrong : uint64_t { kNothing, kMissed, kObject, kBytes, kLost, kRefused };
const char* WrongText(Wrong wrong);

// Rows, chunks, a hold, a table of names that is all overflow rows, a slot per participant. The
// first `ready` rows begin ready in generation 1, row r owning chunk r.
class PoolWorld : public World {
 public:
  static constexpr uint32_t kRows = 1, kBodies = 2, kMark = 4;
  static constexpr uint64_t kHostKey = 0x10001;
  using Program = std::function<void(PoolWorld& world, uint32_t self)>;
  struct Spec {
    std::string name;
    std::vector<Program> programs;
    std::vector<Departure> departures = {};
    uint32_t rows = 1, ready = 1, chunks = 2;
    uint32_t still = kMark;  // what nobody changes, or to what it is anyway
    uint32_t names = 0;      // overflow rows of the table
    uint32_t buckets = 0;
    bool granules = false;     // chunks can be split; chunk 0 begins so
    bool duplicates = false;   // rows of the table with one key are allowed
    bool large = false;        // too many states for a unit test
    bool endless = false;      // too many to go through at all: by chance only
    uint32_t attached = 0xff;  // a bit a slot; the others begin free
    bool records = false;      // of slots, of which only the locks change
    bool host = false;         // number 0 is that of kHostKey
    std::function<void(PoolWorld&)> begin = {};
    std::function<std::string(PoolWorld&)> end = {};
  };
  explicit PoolWorld(Spec spec);

  std::string Name() const override { return spec_.name; }
  bool Endless() const override { return spec_.endless; }
  std::span<daxfs_word> Words() override { return words_; }
  std::span<uint64_t> Ghosts() override { return ghosts_; }
  void Reset() override;
  bool Constant(size_t index) const override;
  size_t Participants() const override { return spec_.programs.size(); }
  void Run(size_t participant, unsigned) override {
    spec_.programs[participant](*this, static_cast<uint32_t>(participant));
  }
  std::vector<Departure> Departures() const override { return spec_.departures; }
  void Departed(size_t participant, Exit how) override;
  std::string Always() override;
  std::string AtEnd() override;
  std::string WordName(size_t index) const override;
  std::string Show(size_t index, uint64_t value) const override;

  // What participants do. A reference is reported between being taken and being dropped.
  void Use(uint32_t slot, uint64_t generation, uint32_t row = 0);
  void Hold(uint32_t slot, uint64_t generation);
  // Claims the row and takes the chunk, or all granules of chunk 0 from `granule` on; 0: could not.
  bool Claim(uint32_t slot, uint32_t row, uint32_t chunk, uint64_t* generation);
  bool ClaimGranules(uint32_t slot, uint32_t row, uint32_t first, uint32_t count,
                     uint64_t* generation);
  void Build(uint32_t slot, uint32_t chunk, uint32_t row = 0);
  // Reports the use that `slot` has, for a while, and drops it.
  void Report(uint32_t participant, uint32_t slot, uint64_t target);
  void Reported(uint32_t participant, uint64_t target) { ghosts_[participant] = target; }
  void ReportedHold(uint64_t target) { ghosts_[kHeldAt] = target; }
  void Pass(uint32_t slot);  // a step, as time passes
  void AwaitRow(uint32_t state, uint32_t row = 0);
  void AwaitSlot(uint32_t slot, uint32_t state);
  void AwaitName(uint32_t position, uint32_t state);
  void AwaitGhost(size_t ghost, uint64_t value);
  void Say(Wrong wrong) { ghosts_[kWrongAt] = static_cast<uint64_t>(wrong); }

  // Before the first step.
  void PutBodies(uint64_t key, uint64_t target);  // into all rows, for kBodies
  uint32_t Put(uint64_t key, uint64_t target);    // a committed row; its position
  daxfs_alias At(uint32_t position) const;        // as whoever found it then has it
  void SetRow(uint32_t row, uint32_t state, uint64_t generation);
  void SetSlot(uint32_t slot, uint32_t state) {
    words_[slot_at_ + slot].raw = daxfs_word_make(state, 0, 0);
  }
  void SetOwner(uint32_t chunk, uint64_t owner) { words_[owner_at_ + chunk].raw = owner; }
  void SetGranule(uint32_t granule, uint64_t owner) { words_[granule_at_ + granule].raw = owner; }
  void SetLock(uint32_t slot, uint64_t lock);
  void SetUse(uint32_t slot, uint32_t row) { words_[use_at_ + slot].raw |= 1ULL << row; }
  void OwnsNothing(uint32_t row);  // that is looked at
  void Owns(uint32_t row, uint64_t generation, uint64_t chunks_and_granules);

  // Of what everybody sees now, without a step.
  uint32_t Committed(uint64_t key) const;
  uint64_t Raw(size_t word) const { return words_[word].raw; }

  const daxfs_pool& pool() const { return pool_; }
  const daxfs_index& names() const { return pool_.names; }
  // Words and ghosts that mean what a world's programs say.
  daxfs_word* scratch(size_t number) { return &words_[scratch_at_ + number]; }
  uint64_t& ghost(size_t number) { return ghosts_[kOwnGhostAt + number]; }
  static daxfs_key Key(uint64_t number) { return {{number, 0, 0, 0}, DAXFS_ALIAS_NAME}; }

 private:
  static constexpr uint32_t kMost = 4, kRowsMost = 2, kGenerations = 6, kScratch = 3;
  static constexpr uint32_t kGranuleBit = 16;  // of what a row owns
  // Places in ghosts_: the reference each participant has reported, that of the hold, what each
  // life of each row owns, has anybody stalled for ever, what was wrong, and a world's own.
  static constexpr size_t kHeldAt = kMost, kOwnsAt = kHeldAt + 1,
                          kStalledAt = kOwnsAt + kRowsMost * kGenerations,
                          kWrongAt = kStalledAt + 1, kOwnGhostAt = kWrongAt + 1,
                          kGhosts = kOwnGhostAt + 3;

  bool Alive(uint64_t reference) const;
  std::string WrongRow(uint32_t row) const;
  std::string WrongNames() const;
  std::string LeftOver() const;
  uint64_t Body(uint32_t position, uint32_t word) const;

  Spec spec_;
  uint32_t names_;
  size_t slot_at_, use_at_, owner_at_, granule_at_, hold_at_, name_at_, body_at_, mark_at_,
      scratch_at_, record_at_, host_at_;
  std::vector<daxfs_word> words_;
  std::array<uint64_t, kGhosts> ghosts_ = {};
  daxfs_pool pool_ = {};
};

// Of slot_worlds.cpp; ObjectSpecs, of pool_worlds.cpp, has them too.
std::vector<PoolWorld::Spec> SlotSpecs();
// Of pool_worlds.cpp and name_worlds.cpp.
std::vector<PoolWorld::Spec> ObjectSpecs();
std::vector<PoolWorld::Spec> NameSpecs();
std::vector<std::unique_ptr<World>> PoolWorlds(bool large);
// Of far_worlds.cpp: hosts without coherence.
std::vector<std::unique_ptr<World>> FarWorlds(bool large);

// Rules left out together, and the world and memory that show it.
struct Removal {
  const char* name;
  daxfs_rules rules;  // a bit a rule
  const char* world;
  Memory memory;
  const char* failure;
};
const std::vector<Removal>& Removals();
constexpr daxfs_rules RuleBit(daxfs_rule rule) { return daxfs_rules{1} << rule; }

// Leaves rules out as long as it lives.
class Without {
 public:
  explicit Without(daxfs_rules rules) { daxfs_sim_rules_left_out = rules; }
  ~Without() { daxfs_sim_rules_left_out = 0; }
  Without(const Without&) = delete;
  Without& operator=(const Without&) = delete;
};

}  // namespace daxfs::sim
