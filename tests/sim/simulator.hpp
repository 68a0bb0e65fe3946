// SPDX-License-Identifier: Apache-2.0
// A deterministic machine with shared memory: participants are fibers, each operation of
// daxfs/atomic.h is one step, and who steps next is a choice from outside (explore.hpp).
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "daxfs/atomic.h"

namespace daxfs::sim {

// What a participant's stores do before the others see them.
enum class Memory {
  kSc,    // a store is visible at once
  kTso,   // a queue of stores per participant; a swap or a fence empties it first (x86)
  kWeak,  // the same, but a swap's own store is queued too: only a fence empties it (arm64)
  // The same within a host, and nothing is coherent between hosts: each has a cache. What it stores
  // reaches memory at any time, at the latest when it is told to write back; of another host's
  // words it may have kept, or fetched, any value there was since it was told to refresh.
  kApart,
};
const char* MemoryName(Memory memory);

// How a participant can leave in the middle of anything.
enum class Exit {
  kDies,      // a local process: its stores arrive, and the world is told
  kPowerOff,  // a remote host: its queued stores are lost, and the world is told
  kStops,     // stalls for ever: its stores arrive, and nobody is told
};

struct Departure {
  size_t participant;
  Exit how;
};

// What is simulated. Participants may keep state only in locals without destructors that matter (a
// fiber that leaves is dropped, not unwound), and may read nothing that changes but shared words.
class World {
 public:
  virtual ~World() = default;
  virtual std::string Name() const = 0;
  virtual bool Endless() const { return false; }  // more states than anyone waits for
  // Which it is meant for.
  virtual std::vector<Memory> Memories() const {
    return {Memory::kSc, Memory::kTso, Memory::kWeak};
  }

  // All shared words. They and the ghosts are zeroed, then Reset() is called, before each run.
  virtual std::span<daxfs_word> Words() = 0;
  // What checks remember beside memory: part of the state, written by participants and Departed().
  virtual std::span<uint64_t> Ghosts() { return {}; }
  virtual void Reset() {}
  // Of memory apart: which host a participant runs on, and which one alone stores to a word.
  virtual size_t HostOf(size_t /*participant*/) const { return 0; }
  virtual size_t HomeOf(size_t /*index*/) const { return 0; }
  // A word to which everybody only stores what it has been since Reset(): no step, no choice.
  virtual bool Constant(size_t /*index*/) const { return false; }

  virtual size_t Participants() const = 0;
  virtual void Run(size_t participant, unsigned life) = 0;

  // Each of these may happen, once, to a participant that has not finished.
  virtual std::vector<Departure> Departures() const { return {}; }
  virtual void Departed(size_t /*participant*/, Exit /*how*/) {}
  // How often a participant is started; more than once: again behind a departure that is no kStops.
  virtual unsigned Lives(size_t /*participant*/) const { return 1; }

  // What is wrong, "" = nothing: after each step, and where nobody can step any more.
  virtual std::string Always() { return ""; }
  virtual std::string AtEnd() { return ""; }

  // For traces.
  virtual std::string WordName(size_t index) const { return "w" + std::to_string(index); }
  virtual std::string Show(size_t /*index*/, uint64_t value) const { return std::to_string(value); }
};

// One thing that may happen next.
struct Choice {
  enum class Kind { kRun, kDrain, kLoose, kWriteBack, kExit, kRestart };
  Kind kind;
  size_t participant;  // kWriteBack: nobody
  Exit how;            // kExit only
  // kLoose: which of the stores that wait for nothing; kWriteBack: the word; kRun of a load of
  // another host's word: which of the values it may have.
  size_t entry;
};

// A world in one state. Between Start() and Start(), the same choices lead to the same states.
class Machine {
 public:
  Machine(World& world, Memory memory);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void Start(bool trace);
  // What may happen now. Ended(): nothing but departures.
  const std::vector<Choice>& Choices() const { return choices_; }
  bool Ended() const { return ended_; }
  void Take(size_t choice);

  // Equal for two states only if everything that can follow is equal, up to collisions of 64 bits:
  // memory, queues, ghosts, and for each participant the values it has read so far.
  uint64_t Hash() const;
  const std::string& trace() const { return trace_; }

  // For a participant, from inside World::Run.
  static Machine& Current();
  // Waits, without steps, until `ready` holds; `ready` may read ghosts. What waits at the end has
  // ended.
  void Await(const std::function<bool()>& ready);
  // Declares that what this participant has read so far no longer matters, but for `tag`.
  void Forget(uint64_t tag);

  uint64_t Load(const daxfs_word* word);
  void Store(daxfs_word* word, uint64_t value);
  uint64_t Cas(daxfs_word* word, uint64_t expected, uint64_t desired);
  void Fence();
  // A non-temporal store: visible at any time from now on, before or after any other store of this
  // participant, at the latest behind its Publish() or Fence().
  void StoreLoose(daxfs_word* word, uint64_t value);
  void Publish();
  // Own words reach memory, behind all earlier and before all later stores of this participant.
  void WriteBack(const void* bytes, uint64_t length);
  // What this host has cached of another's words is forgotten.
  void Refresh(const void* bytes, uint64_t length);

 private:
  enum class How { kStore, kSwap, kWriteBack };
  struct Stored {
    size_t word;
    uint64_t value;
    How how;
  };
  struct Fiber {
    ucontext_t context = {};
    std::unique_ptr<char[]> stack;
    std::deque<Stored> queue;
    std::vector<Stored> loose;
    uint64_t history = 0;  // of every value read
    unsigned life = 0;
    bool finished = false, gone = false, restartable = false;
    const std::function<bool()>* awaited = nullptr;
    std::optional<size_t> fetching;  // another host's word, in the next step
  };
  // What memory has, and for each host the values that a load of it may still give, oldest first.
  struct Apart {
    uint64_t in_memory = 0;
    std::vector<std::vector<uint64_t>> values;
  };

  static void Enter();
  void Begin(size_t participant);
  void Resume(size_t participant);
  void Step();  // in a fiber: hand the choice to the scheduler
  void Leave(size_t participant, Exit how);
  void ListChoices();
  size_t IndexOf(const daxfs_word* word) const;
  // Of what of these bytes are words; [first, second).
  std::pair<size_t, size_t> IndexesOf(const void* bytes, uint64_t length) const;
  bool OfAnotherHost(size_t participant, size_t word) const;
  void ToMemory(size_t word);
  uint64_t LoadApart(size_t word);
  uint64_t Visible(size_t participant, size_t word) const;
  void DrainOne(size_t participant);
  void DrainThrough(size_t participant, size_t word, bool only_cas);
  void DrainAll(size_t participant);
  void DrainLoose(size_t participant, size_t entry);
  void DrainAllLoose(size_t participant);
  void Read(uint64_t value);
  void Say(size_t participant, const std::string& what);

  World& world_;
  Memory memory_;
  std::span<daxfs_word> words_;
  std::vector<bool> constant_;
  std::vector<Apart> apart_;  // by word; empty unless memory is
  size_t hosts_ = 1;
  std::vector<Fiber> fibers_;
  std::vector<bool> departed_;  // by index in departures_list_
  std::vector<Departure> departures_;
  std::vector<Choice> choices_;
  ucontext_t scheduler_ = {};
  size_t running_ = 0, entry_ = 0;
  bool ended_ = false;
  bool tracing_ = false;
  std::string trace_;
};

}  // namespace daxfs::sim
