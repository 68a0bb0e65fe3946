// SPDX-License-Identifier: Apache-2.0
// The classic small worlds, each with an outcome that depends on the memory: they test the
// simulator.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "simulator.hpp"

namespace daxfs::sim {

// Programs over three words, which leave what they saw in registers; one outcome is asked for.
class Litmus : public World {
 public:
  static constexpr size_t kWords = 3, kRegisters = 4;
  using Register = std::array<uint64_t, kRegisters>;
  using Program = std::function<void(daxfs_word* words, uint64_t* registers)>;

  Litmus(std::string name, std::vector<Program> programs, std::function<bool(const Register&)> seen,
         std::vector<size_t> homes = {})
      : name_(std::move(name)),
        programs_(std::move(programs)),
        seen_(std::move(seen)),
        homes_(std::move(homes)) {}

  std::string Name() const override { return name_; }
  std::span<daxfs_word> Words() override { return words_; }
  std::span<uint64_t> Ghosts() override { return registers_; }
  size_t Participants() const override { return programs_.size(); }
  // With homes, each participant is a host.
  size_t HostOf(size_t participant) const override { return homes_.empty() ? 0 : participant; }
  size_t HomeOf(size_t word) const override { return word < homes_.size() ? homes_[word] : 0; }
  void Run(size_t participant, unsigned) override {
    programs_[participant](words_.data(), registers_.data());
  }
  std::string AtEnd() override { return seen_(registers_) ? name_ + " was seen" : ""; }

 private:
  std::string name_;
  std::array<daxfs_word, kWords> words_ = {};
  Register registers_ = {};
  std::vector<Program> programs_;
  std::function<bool(const Register&)> seen_;
  std::vector<size_t> homes_;
};

// Two stores, each followed by a load of the other's word; both loads miss the store.
std::unique_ptr<World> StoreBuffering(bool fenced);
// The store is a compare-and-swap instead.
std::unique_ptr<World> SwapBuffering(bool fenced);
// Data, then a flag; who sees the flag misses the data. The wrong way round it is to be seen.
std::unique_ptr<World> MessagePassing(bool flag_first);
// Two swaps of one word from the same old value both succeed.
std::unique_ptr<World> DoubleSwap();
// A swap and a plain store of another: the swap's value survives though it saw what the store
// replaced.
std::unique_ptr<World> SwapOverStore();
// Two participants count by load and store; one count is lost. By swap none is.
std::unique_ptr<World> LostUpdate(bool by_swap);

// The first two between two hosts without coherence, with one of the four steps left out.
enum class Apart { kAll, kNoWriteBack, kNoFence, kNoRefresh };
std::unique_ptr<World> BufferingApart(Apart left_out);
std::unique_ptr<World> MessageApart(Apart left_out);

std::vector<std::unique_ptr<World>> AllLitmus();

}  // namespace daxfs::sim
