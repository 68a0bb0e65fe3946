// SPDX-License-Identifier: Apache-2.0
#include "litmus.hpp"

namespace daxfs::sim {
namespace {

using Register = Litmus::Register;

Litmus::Program StoreThenLoad(size_t mine, size_t other, bool swap, bool fenced) {
  return [=](daxfs_word* words, uint64_t* registers) {
    if (swap)
      daxfs_cas(&words[mine], 0, 1);
    else
      daxfs_store(&words[mine], 1);
    if (fenced) daxfs_fence();
    registers[mine] = 1 + daxfs_load(&words[other]);  // 0: not run
  };
}

std::unique_ptr<World> Buffering(const std::string& name, bool swap, bool fenced) {
  return std::make_unique<Litmus>(
      name + (fenced ? "-fenced" : ""),
      std::vector<Litmus::Program>{StoreThenLoad(0, 1, swap, fenced),
                                   StoreThenLoad(1, 0, swap, fenced)},
      [](const Register& seen) { return seen[0] == 1 && seen[1] == 1; });
}

void Count(daxfs_word* words, bool by_swap) {
  for (;;) {
    const uint64_t count = daxfs_load(&words[0]);
    if (by_swap) {
      if (daxfs_cas(&words[0], count, count + 1) == count) return;
    } else {
      daxfs_store(&words[0], count + 1);
      return;
    }
  }
}

}  // namespace

std::unique_ptr<World> StoreBuffering(bool fenced) {
  return Buffering("store-buffering", false, fenced);
}

std::unique_ptr<World> SwapBuffering(bool fenced) {
  return Buffering("swap-buffering", true, fenced);
}

std::unique_ptr<World> MessagePassing(bool flag_first) {
  const auto send = [flag_first](daxfs_word* words, uint64_t*) {
    daxfs_store(&words[flag_first ? 1 : 0], 1);
    daxfs_store(&words[flag_first ? 0 : 1], 1);
  };
  const auto receive = [](daxfs_word* words, uint64_t* registers) {
    registers[0] = daxfs_load(&words[1]);
    registers[1] = daxfs_load(&words[0]);
  };
  return std::make_unique<Litmus>(
      flag_first ? "message-passing-flag-first" : "message-passing",
      std::vector<Litmus::Program>{send, receive},
      [](const Register& seen) { return seen[0] == 1 && seen[1] == 0; });
}

std::unique_ptr<World> DoubleSwap() {
  const auto swap = [](size_t self) {
    return [self](daxfs_word* words, uint64_t* registers) {
      registers[self] = daxfs_cas(&words[0], 0, self + 1) == 0;
    };
  };
  return std::make_unique<Litmus>(
      "double-swap", std::vector<Litmus::Program>{swap(0), swap(1)},
      [](const Register& seen) { return seen[0] == 1 && seen[1] == 1; });
}

std::unique_ptr<World> SwapOverStore() {
  return std::make_unique<Litmus>(
      "swap-over-store",
      std::vector<Litmus::Program>{[](daxfs_word* words, uint64_t* registers) {
                                     registers[0] = daxfs_cas(&words[0], 0, 1) == 0;
                                     daxfs_fence();
                                     registers[1] = daxfs_load(&words[0]);
                                   },
                                   [](daxfs_word* words, uint64_t* registers) {
                                     daxfs_store(&words[0], 2);
                                     daxfs_fence();
                                     registers[2] = daxfs_load(&words[0]);
                                   }},
      // The swap saw 0, so the store came later and is never overwritten.
      [](const Register& seen) { return seen[0] == 1 && seen[2] == 1; });
}

std::unique_ptr<World> LostUpdate(bool by_swap) {
  const auto count = [by_swap](size_t self) {
    return [self, by_swap](daxfs_word* words, uint64_t* registers) {
      Count(words, by_swap);
      daxfs_fence();
      registers[self] = daxfs_load(&words[0]);
    };
  };
  return std::make_unique<Litmus>(by_swap ? "counted-by-swap" : "lost-update",
                                  std::vector<Litmus::Program>{count(0), count(1)},
                                  [](const Register& seen) { return seen[0] < 2 && seen[1] < 2; });
}

std::unique_ptr<World> BufferingApart(Apart left_out) {
  const auto program = [left_out](size_t mine) {
    return [=](daxfs_word* words, uint64_t* registers) {
      daxfs_store(&words[mine], 1);
      if (left_out != Apart::kNoWriteBack) daxfs_write_back(&words[mine], 8);
      if (left_out != Apart::kNoFence) daxfs_fence();
      if (left_out != Apart::kNoRefresh) daxfs_refresh(&words[1 - mine], 8);
      registers[mine] = 1 + daxfs_load(&words[1 - mine]);
    };
  };
  return std::make_unique<Litmus>(
      "buffering-apart", std::vector<Litmus::Program>{program(0), program(1)},
      [](const Register& seen) { return seen[0] == 1 && seen[1] == 1; }, std::vector<size_t>{0, 1});
}

std::unique_ptr<World> MessageApart(Apart left_out) {
  const auto send = [left_out](daxfs_word* words, uint64_t*) {
    daxfs_store(&words[0], 1);
    if (left_out != Apart::kNoWriteBack) daxfs_write_back(&words[0], 8);
    daxfs_store(&words[1], 1);
  };
  const auto receive = [left_out](daxfs_word* words, uint64_t* registers) {
    registers[0] = daxfs_load(&words[1]);
    if (left_out != Apart::kNoRefresh) daxfs_refresh(&words[0], 8);
    registers[1] = daxfs_load(&words[0]);
  };
  return std::make_unique<Litmus>(
      "message-apart", std::vector<Litmus::Program>{send, receive},
      [](const Register& seen) { return seen[0] == 1 && seen[1] == 0; }, std::vector<size_t>{0, 0});
}

std::vector<std::unique_ptr<World>> AllLitmus() {
  std::vector<std::unique_ptr<World>> worlds;
  for (const bool variant : {false, true}) {
    worlds.push_back(StoreBuffering(variant));
    worlds.push_back(SwapBuffering(variant));
    worlds.push_back(MessagePassing(variant));
    worlds.push_back(LostUpdate(variant));
  }
  worlds.push_back(DoubleSwap());
  worlds.push_back(SwapOverStore());
  return worlds;
}

}  // namespace daxfs::sim
