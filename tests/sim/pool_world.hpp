// SPDX-License-Identifier: Apache-2.0
// Small worlds over kernel-module/core/pool.h: one row, a few participants, every rule of
// docs/pool.md in reach.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pool.h"
#include "simulator.hpp"

namespace daxfs::sim {

// One row, two chunks, one hold, a slot per participant. Row 0 begins ready in generation 1 and
// owns chunk 0, or free.
class PoolWorld : public World {
 public:
  using Program = std::function<void(PoolWorld& world, uint32_t self)>;
  struct Spec {
    std::string name;
    std::vector<Program> programs;
    std::vector<Departure> departures = {};
    bool row_free = false;
    bool orphan = false;       // chunk 1 names a life of the row that is over
    bool large = false;        // too many states for a unit test
    uint32_t attached = 0xff;  // a bit a slot; the others begin free
  };
  explicit PoolWorld(Spec spec);

  std::string Name() const override { return spec_.name; }
  std::span<daxfs_word> Words() override { return words_; }
  std::span<uint64_t> Ghosts() override { return ghosts_; }
  void Reset() override;
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
  void Use(uint32_t slot, uint64_t generation);
  void Hold(uint32_t slot, uint64_t generation);
  void Build(uint32_t slot, uint32_t chunk);
  void AwaitRow(uint32_t state);
  void AwaitSlot(uint32_t slot, uint32_t state);
  const daxfs_pool& pool() const { return pool_; }

 private:
  static constexpr uint32_t kSlots = 4, kChunks = 2, kGenerations = 6;
  // Places in words_: the row, slots, uses, owners, the hold's state and target.
  static constexpr size_t kSlotAt = 1, kUseAt = kSlotAt + kSlots, kOwnerAt = kUseAt + kSlots,
                          kHoldAt = kOwnerAt + kChunks, kWords = kHoldAt + 2;
  // Places in ghosts_: generation + 1 of each slot's reported use, of the reported hold; chunk + 1
  // of each generation; has anybody stalled for ever.
  static constexpr size_t kHeldAt = kSlots, kChunkAt = kHeldAt + 1,
                          kStalledAt = kChunkAt + kGenerations, kGhosts = kStalledAt + 1;

  bool Alive(uint64_t generation) const;

  Spec spec_;
  std::array<daxfs_word, kWords> words_ = {};
  std::array<uint64_t, kGhosts> ghosts_ = {};
  daxfs_pool pool_ = {};
};

std::vector<std::unique_ptr<World>> PoolWorlds(bool large);

// A rule left out, and the world and memory that show it.
struct Removal {
  const char* name;
  daxfs_rule rule;
  const char* world;
  Memory memory;
  const char* failure;
};
const std::vector<Removal>& Removals();

}  // namespace daxfs::sim
