// SPDX-License-Identifier: Apache-2.0
#include "simulator.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace daxfs::sim {
namespace {

constexpr size_t kStackBytes = 256 << 10;  // sanitizers make frames large

Machine* current = nullptr;

// A mistake of a world, not of what it tests: nothing sensible can follow.
[[noreturn]] void Misuse(const char* what) {
  std::fprintf(stderr, "sim: %s\n", what);
  std::abort();
}

// splitmix64's finisher: every bit of the input changes half of the output's.
uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) + 0x9e3779b97f4a7c15U;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
  return hash ^ (hash >> 31);
}

const char* ExitName(Exit how) {
  switch (how) {
    case Exit::kDies:
      return "dies";
    case Exit::kPowerOff:
      return "is powered off";
    case Exit::kStops:
      return "stops for ever";
  }
  return "?";
}

}  // namespace

const char* MemoryName(Memory memory) {
  switch (memory) {
    case Memory::kSc:
      return "sc";
    case Memory::kTso:
      return "tso";
    case Memory::kWeak:
      return "weak";
    case Memory::kApart:
      return "apart";
  }
  return "?";
}

Machine::Machine(World& world, Memory memory)
    : world_(world),
      memory_(memory),
      words_(world.Words()),
      fibers_(world.Participants()),
      departures_(world.Departures()) {
  for (size_t i = 0; i < words_.size(); ++i) constant_.push_back(world.Constant(i));
  for (Fiber& fiber : fibers_) fiber.stack = std::make_unique<char[]>(kStackBytes);
  if (memory_ != Memory::kApart) return;
  for (size_t i = 0; i < fibers_.size(); ++i) hosts_ = std::max(hosts_, world.HostOf(i) + 1);
  apart_.resize(words_.size());
}

Machine::~Machine() {
  if (current == this) current = nullptr;
}

Machine& Machine::Current() {
  if (current == nullptr) Misuse("no machine runs");
  return *current;
}

void Machine::Start(bool trace) {
  current = this;
  tracing_ = trace;
  trace_.clear();
  for (daxfs_word& word : words_) word.raw = 0;
  std::ranges::fill(world_.Ghosts(), 0);
  world_.Reset();
  for (size_t i = 0; i < apart_.size(); ++i) {
    apart_[i].in_memory = words_[i].raw;
    apart_[i].values.assign(hosts_, {words_[i].raw});
  }
  departed_.assign(departures_.size(), false);
  for (size_t i = 0; i < fibers_.size(); ++i) {
    fibers_[i].queue.clear();
    fibers_[i].loose.clear();
    fibers_[i].life = 0;
    fibers_[i].gone = fibers_[i].restartable = false;
    Begin(i);
  }
  ListChoices();
}

// A participant runs up to its first step at once: what lies before it touches nothing shared.
void Machine::Begin(size_t participant) {
  Fiber& fiber = fibers_[participant];
  fiber.history = fiber.life;
  fiber.finished = false;
  fiber.awaited = nullptr;
  fiber.fetching.reset();
  if (getcontext(&fiber.context) != 0) Misuse("getcontext failed");
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, &Machine::Enter, 0);
  Resume(participant);
}

void Machine::Enter() {
  Machine& machine = Current();
  const size_t self = machine.running_;
  machine.world_.Run(self, machine.fibers_[self].life);
  machine.fibers_[self].finished = true;
  machine.fibers_[self].history = 0;  // what it has read no longer matters
  swapcontext(&machine.fibers_[self].context, &machine.scheduler_);
  Misuse("a finished participant went on");
}

void Machine::Resume(size_t participant) {
  running_ = participant;
  if (swapcontext(&scheduler_, &fibers_[participant].context) != 0) Misuse("swapcontext failed");
}

void Machine::Step() {
  if (current != this) Misuse("an operation outside the machine that runs");
  if (swapcontext(&fibers_[running_].context, &scheduler_) != 0) Misuse("swapcontext failed");
}

void Machine::ListChoices() {
  choices_.clear();
  for (size_t i = 0; i < fibers_.size(); ++i) {
    const Fiber& fiber = fibers_[i];
    const bool stepping = !fiber.finished && !fiber.gone;
    if (stepping && (fiber.awaited == nullptr || (*fiber.awaited)())) {
      const size_t values =
          fiber.fetching ? apart_[*fiber.fetching].values[world_.HostOf(i)].size() : 1;
      for (size_t value = 0; value < values; ++value)
        choices_.push_back({Choice::Kind::kRun, i, {}, value});
    }
    if (!fiber.queue.empty()) choices_.push_back({Choice::Kind::kDrain, i, {}, 0});
    for (size_t entry = 0; entry < fiber.loose.size(); ++entry)
      choices_.push_back({Choice::Kind::kLoose, i, {}, entry});
    if (fiber.gone && fiber.restartable && fiber.life + 1 < world_.Lives(i))
      choices_.push_back({Choice::Kind::kRestart, i, {}, 0});
  }
  for (size_t word = 0; word < apart_.size(); ++word)
    if (apart_[word].in_memory != words_[word].raw)
      choices_.push_back({Choice::Kind::kWriteBack, 0, {}, word});
  ended_ = choices_.empty();
  for (size_t d = 0; d < departures_.size(); ++d) {
    const Fiber& fiber = fibers_[departures_[d].participant];
    if (!departed_[d] && !fiber.finished && !fiber.gone)
      choices_.push_back({Choice::Kind::kExit, departures_[d].participant, departures_[d].how, 0});
  }
}

void Machine::Take(size_t choice) {
  const Choice taken = choices_.at(choice);
  switch (taken.kind) {
    case Choice::Kind::kRun:
      entry_ = taken.entry;
      Resume(taken.participant);
      break;
    case Choice::Kind::kDrain:
      DrainOne(taken.participant);
      break;
    case Choice::Kind::kLoose:
      DrainLoose(taken.participant, taken.entry);
      break;
    case Choice::Kind::kWriteBack:
      ToMemory(taken.entry);
      break;
    case Choice::Kind::kExit:
      Leave(taken.participant, taken.how);
      break;
    case Choice::Kind::kRestart:
      fibers_[taken.participant].gone = false;
      ++fibers_[taken.participant].life;
      if (tracing_) Say(taken.participant, "starts again");
      Begin(taken.participant);
      break;
  }
  ListChoices();
}

void Machine::Leave(size_t participant, Exit how) {
  Fiber& fiber = fibers_[participant];
  for (size_t d = 0; d < departures_.size(); ++d)
    if (departures_[d].participant == participant && departures_[d].how == how) departed_[d] = true;
  if (tracing_) Say(participant, ExitName(how));
  if (how == Exit::kDies) {
    DrainAll(participant);
    DrainAllLoose(participant);
  }
  if (how == Exit::kPowerOff) {
    fiber.queue.clear();
    fiber.loose.clear();
    for (size_t word = 0; word < apart_.size(); ++word)
      if (!OfAnotherHost(participant, word)) words_[word].raw = apart_[word].in_memory;
  }
  fiber.gone = true;
  fiber.restartable = how != Exit::kStops;
  fiber.history = 0;
  fiber.awaited = nullptr;
  world_.Departed(participant, how);
}

uint64_t Machine::Hash() const {
  uint64_t hash = 0;
  for (const daxfs_word& word : words_) hash = Mix(hash, word.raw);
  for (uint64_t ghost : world_.Ghosts()) hash = Mix(hash, ghost);
  for (const Fiber& fiber : fibers_) {
    hash = Mix(hash, fiber.history);
    hash = Mix(hash, fiber.life * 8 + fiber.finished * 4 + fiber.gone * 2 + fiber.restartable);
    hash = Mix(hash, fiber.queue.size());
    for (const Stored& stored : fiber.queue) {
      hash = Mix(hash, stored.word * 4 + static_cast<uint64_t>(stored.how));
      hash = Mix(hash, stored.value);
    }
    hash = Mix(hash, fiber.loose.size());
    for (const Stored& stored : fiber.loose) hash = Mix(Mix(hash, stored.word), stored.value);
  }
  for (const Apart& word : apart_) {
    hash = Mix(hash, word.in_memory);
    for (const auto& values : word.values) {
      hash = Mix(hash, values.size());
      for (uint64_t value : values) hash = Mix(hash, value);
    }
  }
  for (bool gone : departed_) hash = Mix(hash, gone);
  return hash;
}

void Machine::Await(const std::function<bool()>& ready) {
  if (!ready()) {
    fibers_[running_].awaited = &ready;
    Step();
    fibers_[running_].awaited = nullptr;
  }
  Read(1);
}

void Machine::Forget(uint64_t tag) { fibers_[running_].history = Mix(0, tag); }

size_t Machine::IndexOf(const daxfs_word* word) const {
  if (word < words_.data() || word >= words_.data() + words_.size())
    Misuse("an operation on a word that is not the world's");
  return static_cast<size_t>(word - words_.data());
}

std::pair<size_t, size_t> Machine::IndexesOf(const void* bytes, uint64_t length) const {
  const size_t first = IndexOf(static_cast<const daxfs_word*>(bytes));
  const size_t count = (length + sizeof(daxfs_word) - 1) / sizeof(daxfs_word);
  if (first + count > words_.size()) Misuse("bytes that are not all the world's");
  return {first, first + count};
}

bool Machine::OfAnotherHost(size_t participant, size_t word) const {
  return !apart_.empty() && world_.HomeOf(word) != world_.HostOf(participant);
}

// A host that has not refreshed the word may come to have this value as well, from now on.
void Machine::ToMemory(size_t word) {
  Apart& apart = apart_[word];
  if (apart.in_memory == words_[word].raw) return;
  apart.in_memory = words_[word].raw;
  for (size_t host = 0; host < hosts_; ++host)
    if (host != world_.HomeOf(word)) apart.values[host].push_back(apart.in_memory);
  if (tracing_) trace_ += "   memory has " + world_.WordName(word) + "\n";
}

// Own stores are seen in order at once; the others' when they have left their queues.
uint64_t Machine::Visible(size_t participant, size_t word) const {
  for (const Stored& stored : fibers_[participant].loose)
    if (stored.word == word) return stored.value;
  const std::deque<Stored>& queue = fibers_[participant].queue;
  for (auto stored = queue.rbegin(); stored != queue.rend(); ++stored)
    if (stored->word == word && stored->how != How::kWriteBack) return stored->value;
  return words_[word].raw;
}

// A swap has read and written in one step, so no store of another comes between: whoever's swap of
// that word still waits goes first. No circle: a swap empties the other queues up to its word.
void Machine::DrainOne(size_t participant) {
  const size_t word = fibers_[participant].queue.front().word;
  if (fibers_[participant].queue.front().how == How::kWriteBack) {
    fibers_[participant].queue.pop_front();
    ToMemory(word);
    return;
  }
  for (size_t other = 0; other < fibers_.size(); ++other)
    if (other != participant) DrainThrough(other, word, true);
  const Stored stored = fibers_[participant].queue.front();
  if (stored.word != word) Misuse("two queues wait for each other");
  fibers_[participant].queue.pop_front();
  words_[word].raw = stored.value;
  if (tracing_)
    Say(participant,
        "  " + world_.WordName(word) + " = " + world_.Show(word, stored.value) + " is seen by all");
}

void Machine::DrainThrough(size_t participant, size_t word, bool only_cas) {
  const std::deque<Stored>& queue = fibers_[participant].queue;
  while (std::ranges::any_of(queue, [&](const Stored& s) {
    return s.word == word && (s.how == How::kSwap || (s.how == How::kStore && !only_cas));
  }))
    DrainOne(participant);
}

void Machine::DrainAll(size_t participant) {
  while (!fibers_[participant].queue.empty()) DrainOne(participant);
}

void Machine::DrainLoose(size_t participant, size_t entry) {
  std::vector<Stored>& loose = fibers_[participant].loose;
  const Stored stored = loose.at(entry);
  loose.erase(loose.begin() + static_cast<std::ptrdiff_t>(entry));
  words_[stored.word].raw = stored.value;
  if (tracing_)
    Say(participant, "'s loose store of " + world_.WordName(stored.word) + " is visible");
}

void Machine::DrainAllLoose(size_t participant) {
  while (!fibers_[participant].loose.empty()) DrainLoose(participant, 0);
}

void Machine::Read(uint64_t value) {
  uint64_t& history = fibers_[running_].history;
  history = Mix(history, value);
}

void Machine::Say(size_t participant, const std::string& what) {
  trace_ += "p" + std::to_string(participant) + " " + what + "\n";
}

uint64_t Machine::Load(const daxfs_word* word) {
  const size_t index = IndexOf(word);
  if (constant_[index]) return words_[index].raw;
  const bool far = OfAnotherHost(running_, index);
  if (far) fibers_[running_].fetching = index;
  Step();
  const uint64_t value = far ? LoadApart(index) : Visible(running_, index);
  Read(value);
  if (tracing_) Say(running_, "reads " + world_.WordName(index) + ": " + world_.Show(index, value));
  return value;
}

// The value that was chosen; no later load gives an older one.
uint64_t Machine::LoadApart(size_t word) {
  fibers_[running_].fetching.reset();
  std::vector<uint64_t>& values = apart_[word].values[world_.HostOf(running_)];
  values.erase(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(entry_));
  return values.front();
}

void Machine::Store(daxfs_word* word, uint64_t value) {
  const size_t index = IndexOf(word);
  if (OfAnotherHost(running_, index)) Misuse("a store to another host's word");
  if (constant_[index]) {
    if (words_[index].raw != value) Misuse("a constant word changes");
    return;
  }
  Step();
  Read(0);
  if (tracing_)
    Say(running_, "stores " + world_.WordName(index) + " = " + world_.Show(index, value));
  fibers_[running_].queue.push_back({index, value, How::kStore});
  if (memory_ == Memory::kSc) DrainAll(running_);
}

// Another's store to the same word that still waits is ordered first: fewer behaviours than arm64
// has, for words that are both swapped and plainly stored.
uint64_t Machine::Cas(daxfs_word* word, uint64_t expected, uint64_t desired) {
  const size_t index = IndexOf(word);
  if (constant_[index]) Misuse("a swap of a constant word");
  if (OfAnotherHost(running_, index)) Misuse("a swap of another host's word");
  Step();
  const size_t self = running_;
  const bool queued = memory_ == Memory::kWeak || memory_ == Memory::kApart;
  if (!queued) DrainAll(self);
  for (size_t other = 0; queued && other < fibers_.size(); ++other)
    if (other != self) DrainThrough(other, index, false);
  const uint64_t found = Visible(self, index);
  Read(found);
  if (tracing_)
    Say(self, "swaps " + world_.WordName(index) + ": " + world_.Show(index, expected) + " -> " +
                  world_.Show(index, desired) +
                  (found == expected ? "" : "; fails: " + world_.Show(index, found)));
  if (found != expected) return found;
  fibers_[self].queue.push_back({index, desired, How::kSwap});
  if (!queued) DrainAll(self);
  return found;
}

void Machine::Fence() {
  Step();
  Read(0);
  if (tracing_) Say(running_, "fences");
  DrainAll(running_);
  DrainAllLoose(running_);
}

void Machine::StoreLoose(daxfs_word* word, uint64_t value) {
  const size_t index = IndexOf(word);
  Step();
  Read(0);
  if (tracing_)
    Say(running_, "stores loosely " + world_.WordName(index) + " = " + world_.Show(index, value));
  std::vector<Stored>& loose = fibers_[running_].loose;
  std::erase_if(loose, [index](const Stored& stored) { return stored.word == index; });
  loose.push_back({index, value, How::kStore});
}

void Machine::Publish() {
  if (fibers_[running_].loose.empty()) return;
  Step();
  Read(0);
  if (tracing_) Say(running_, "publishes");
  DrainAllLoose(running_);
}

void Machine::WriteBack(const void* bytes, uint64_t length) {
  if (apart_.empty()) return Publish();
  const auto [first, end] = IndexesOf(bytes, length);
  Step();
  Read(0);
  DrainAllLoose(running_);
  for (size_t word = first; word < end; ++word) {
    if (OfAnotherHost(running_, word)) Misuse("another host's word is written back");
    if (constant_[word]) continue;
    if (tracing_) Say(running_, "writes back " + world_.WordName(word));
    fibers_[running_].queue.push_back({word, 0, How::kWriteBack});
  }
}

void Machine::Refresh(const void* bytes, uint64_t length) {
  if (apart_.empty()) return;
  const auto [first, end] = IndexesOf(bytes, length);
  Step();
  Read(0);
  for (size_t word = first; word < end; ++word) {
    if (!OfAnotherHost(running_, word)) continue;
    if (tracing_ && !constant_[word]) Say(running_, "refreshes " + world_.WordName(word));
    apart_[word].values[world_.HostOf(running_)] = {apart_[word].in_memory};
  }
}

}  // namespace daxfs::sim

// What daxfs/atomic.h calls in this build.
using daxfs::sim::Machine;

extern "C" {
__u64 daxfs_sim_load(const struct daxfs_word* word) { return Machine::Current().Load(word); }
void daxfs_sim_store(struct daxfs_word* word, __u64 value) {
  Machine::Current().Store(word, value);
}
__u64 daxfs_sim_cas(struct daxfs_word* word, __u64 expected, __u64 desired) {
  return Machine::Current().Cas(word, expected, desired);
}
void daxfs_sim_fence() { Machine::Current().Fence(); }
void daxfs_sim_publish(const void*, __u64) { Machine::Current().Publish(); }
void daxfs_sim_write_back(const void* bytes, __u64 length) {
  Machine::Current().WriteBack(bytes, length);
}
void daxfs_sim_refresh(const void* bytes, __u64 length) {
  Machine::Current().Refresh(bytes, length);
}
}
