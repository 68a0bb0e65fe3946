// SPDX-License-Identifier: Apache-2.0
// Small worlds of a partitioned pool: hosts that share memory and no cache.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "pool_world.hpp"

namespace daxfs::sim {

// Up to three hosts, each with a partition of two rows, a chunk for each, two slots, a hold and a
// table of aliases that is all overflow rows. Rows of host 0 below `ready` begin ready in
// generation 1. All hosts are in their first life.
class FarWorld : public World {
 public:
  static constexpr uint32_t kRows = 2, kSlots = 2, kHosts = 3, kGhosts = 4;
  using Program = std::function<void(FarWorld& world, uint32_t self)>;
  struct Participant {
    uint32_t host, slot;
    Program program;
  };
  struct Spec {
    std::string name;
    std::vector<Participant> participants;
    uint32_t hosts = 2, ready = 1, aliases = 0;
    bool large = false;  // too many states for a unit test
    unsigned lives = 1;
    bool free_slots = false;  // slot 0 of each host but the first is nobody's yet
    std::vector<Departure> departures = {};
    std::function<void(FarWorld&)> begin = {};
  };
  explicit FarWorld(Spec spec);

  std::string Name() const override { return spec_.name; }
  std::vector<Memory> Memories() const override { return {Memory::kApart}; }
  std::span<daxfs_word> Words() override { return words_; }
  std::span<uint64_t> Ghosts() override { return ghosts_; }
  void Reset() override;
  bool Constant(size_t index) const override;
  size_t HostOf(size_t participant) const override { return spec_.participants[participant].host; }
  size_t HomeOf(size_t index) const override { return index / partition_words_; }
  size_t Participants() const override { return spec_.participants.size(); }
  unsigned Lives(size_t) const override { return spec_.lives; }
  void Run(size_t participant, unsigned life) override {
    life_[participant] = life;
    spec_.participants[participant].program(*this, static_cast<uint32_t>(participant));
  }
  std::vector<Departure> Departures() const override { return spec_.departures; }
  void Departed(size_t participant, Exit) override { ghosts_[participant] = 0; }
  std::string Always() override;
  std::string WordName(size_t index) const override;

  // The partition of `home` as a participant sees it.
  const daxfs_pool& View(uint32_t self, uint32_t home) const {
    return views_[spec_.participants[self].host][home];
  }
  const daxfs_pool& Own(uint32_t self) const { return View(self, spec_.participants[self].host); }
  unsigned Life(uint32_t self) const { return life_[self]; }
  uint32_t SlotOf(uint32_t self) const { return spec_.participants[self].slot; }
  // What an object of host 0 is filled with.
  daxfs_word* Bytes(uint32_t row);

  // Reports a reference to a row of host 0, for a while.
  void Report(uint32_t self, uint32_t row, uint64_t generation);
  void Reported(uint32_t self, uint64_t reference) { ghosts_[self] = reference; }
  // Says number `told` is true, to all; waits until it is.
  void Tell(uint32_t told) { ghosts_[kToldAt + told] = 1; }
  void AwaitTold(uint32_t told);
  void Say(Wrong wrong) { ghosts_[kWrongAt] = static_cast<uint64_t>(wrong); }

  // Before the first step.
  void SetRow(uint32_t row, uint32_t state, uint64_t generation);
  void SetStated(uint32_t by, uint32_t host, uint64_t life);
  void Put(uint32_t position, uint64_t key, uint64_t target);
  uint64_t Raw(const daxfs_word* word) const { return word->raw; }
  const daxfs_word* Row(uint32_t row) const { return &words_[row]; }

 private:
  static constexpr size_t kToldAt = 4, kWrongAt = kToldAt + kGhosts;

  bool Alive(uint64_t reference) const;

  Spec spec_;
  size_t slot_at_, use_at_, owner_at_, hold_at_, stated_at_, alias_at_, body_at_, mark_at_,
      bytes_at_, partition_words_;
  std::vector<daxfs_word> words_;
  std::array<uint64_t, kWrongAt + 1> ghosts_ = {};
  std::array<unsigned, 4> life_ = {};  // of who runs: follows from what the machine has chosen
  std::array<std::array<daxfs_pool, kHosts>, kHosts> views_ = {};
};

}  // namespace daxfs::sim
