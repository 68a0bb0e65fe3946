// SPDX-License-Identifier: Apache-2.0
// Worlds of rows, uses, holds, chunks, granules and sweeps.
#include "pool_world.hpp"

namespace daxfs::sim {
namespace {

using Program = PoolWorld::Program;

const std::vector<Departure> kDies = {{0, Exit::kDies}}, kOff = {{0, Exit::kPowerOff}},
                             kStops = {{0, Exit::kStops}};

Program Reader() {
  return [](PoolWorld& world, uint32_t self) { world.Use(self, 1); };
}

Program Collector(int times = 1, uint32_t row = 0) {
  return [times, row](PoolWorld& world, uint32_t self) {
    for (int i = 0; i < times; ++i) daxfs_collect(&world.pool(), self, row);
  };
}

Program Builder(uint32_t chunk = 0) {
  return [chunk](PoolWorld& world, uint32_t self) {
    world.AwaitRow(DAXFS_ROW_FREE);
    world.Build(self, chunk);
  };
}

// Builds another row out of what row 0 had, from the moment its life is over.
void AwaitEnd(PoolWorld& world) {
  Machine::Current().Await([&world] { return daxfs_word_generation(world.Raw(0)) > 1; });
}

Program BuilderOfRow1(uint32_t chunk = 0) {
  return [chunk](PoolWorld& world, uint32_t self) {
    AwaitEnd(world);
    world.Build(self, chunk, 1);
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

constexpr daxfs_attacher kNoLock = {};

// Attaches to slot 0 when it is free, whoever had it, and takes a use.
Program Newcomer() {
  return [](PoolWorld& world, uint32_t) {
    world.AwaitSlot(0, DAXFS_SLOT_FREE);
    __u64 word = 0;
    if (daxfs_attach(&world.pool(), 0, &kNoLock, &word) == 0) world.Use(0, 1);
  };
}

// A lock's mark: of which boot, and of a file in which directory.
constexpr uint64_t Mark(uint64_t directory) { return 1ULL << 32 | directory; }

daxfs_attacher By(uint64_t directory) { return {0, 0, Mark(directory)}; }

// Attaches to slot 0 by the lock in a directory of its own, and takes a use.
Program Locked() {
  return [](PoolWorld& world, uint32_t self) {
    __u64 word = 0;
    world.AwaitSlot(0, DAXFS_SLOT_FREE);
    const daxfs_attacher who = By(self + 1);
    if (daxfs_attach(&world.pool(), 0, &who, &word) != 0) return;
    if (daxfs_use_take(&world.pool(), 0, 0, 1) == 0) {
      world.Reported(self, daxfs_reference(0, 1));
      world.Pass(0);
      world.Reported(self, 0);
    }
    daxfs_detach(&world.pool(), 0);
  };
}

void Prove(PoolWorld& world, uint64_t word, uint64_t directory) {
  const daxfs_attacher who = By(directory);
  daxfs_prove_dead(&world.pool(), 0, word, &who);
}

// Has the lock for slot 0 in another directory, proves what that can prove, and sweeps what is
// dead.
Program Prover(int sweeps, int proofs = 1) {
  return [sweeps, proofs](PoolWorld& world, uint32_t self) {
    for (int i = 0; i < proofs; ++i) {
      world.AwaitSlot(0, DAXFS_SLOT_ATTACHED);
      const uint64_t word = daxfs_load(&world.pool().slots[0]);
      if (daxfs_word_state(word) == DAXFS_SLOT_ATTACHED) Prove(world, word, self + 1);
    }
    for (int i = 0; i < sweeps; ++i) {
      world.AwaitSlot(0, DAXFS_SLOT_DEAD);
      daxfs_sweep(&world.pool(), self, 0);
      daxfs_collect(&world.pool(), self, 0);
    }
  };
}

// The same, once for each life there is.
Program ProverOfLives(int lives) {
  return [lives](PoolWorld& world, uint32_t self) {
    const daxfs_pool& pool = world.pool();
    for (int i = 0; i < lives; ++i) {
      world.AwaitSlot(0, DAXFS_SLOT_ATTACHED);
      Prove(world, daxfs_load(&pool.slots[0]), self + 1);
      world.AwaitSlot(0, DAXFS_SLOT_DEAD);
      daxfs_sweep(&pool, self, 0);
    }
    daxfs_collect(&pool, self, 0);
  };
}

// Saw that the owner of slot 0 is dead as well, and is done with it.
Program Burier() {
  return [](PoolWorld& world, uint32_t self) {
    daxfs_mark_dead(&world.pool(), 0, daxfs_load(&world.pool().slots[0]));
    daxfs_sweep(&world.pool(), self, 0);
  };
}

// Saw the first life of slot 0, of its host; the next one is another host's.
Program ProverOfTheFirst() {
  return [](PoolWorld& world, uint32_t self) {
    Prove(world, daxfs_word_make(DAXFS_SLOT_ATTACHED, 0, 0), self + 1);
  };
}

constexpr daxfs_attacher kOfAnotherBoot = {0, 0, 2ULL << 32 | 1};

Program Foreigner() {
  return [](PoolWorld& world, uint32_t) {
    __u64 word = 0;
    world.AwaitSlot(0, DAXFS_SLOT_FREE);
    if (daxfs_attach(&world.pool(), 0, &kOfAnotherBoot, &word) == 0) world.ghost(0) = 1;
  };
}

std::string WithoutItsLock(PoolWorld& world) {
  const uint64_t lock = world.pool().slot_records[0].lock.raw;
  return world.ghost(0) == 1 && lock != kOfAnotherBoot.lock ? "the living lost its lock" : "";
}

// Was in slot 0, by another directory's lock.
Program Predecessor() {
  return [](PoolWorld& world, uint32_t) { daxfs_detach(&world.pool(), 0); };
}

// Dies somewhere; slot 1 says when.
Program Attacher() {
  return [](PoolWorld& world, uint32_t) {
    __u64 word = 0;
    world.AwaitSlot(0, DAXFS_SLOT_FREE);
    const daxfs_attacher who = By(1);
    daxfs_attach(&world.pool(), 0, &who, &word);
  };
}

// Sees the same directory as the attacher, and so has its lock when that has died.
Program ProverOfTheSame() {
  return [](PoolWorld& world, uint32_t self) {
    const daxfs_pool& pool = world.pool();
    world.AwaitSlot(1, DAXFS_SLOT_DEAD);
    daxfs_sweep(&pool, self, 1);
    Prove(world, daxfs_load(&pool.slots[0]), 1);
    daxfs_sweep(&pool, self, 0);
    world.ghost(0) = 1;
  };
}

std::string AttachedByTheDead(PoolWorld& world) {
  const bool attached = daxfs_word_state(world.Raw(1)) == DAXFS_SLOT_ATTACHED;  // slot 0
  return attached && world.ghost(0) == 1 ? "a slot of the dead is left over" : "";
}

Program Nobody() {
  return [](PoolWorld&, uint32_t) {};
}

// Takes slot 0 over from the dead, by the lock in a directory of its own, and takes a use.
Program Successor(int tries = 1) {
  return [tries](PoolWorld& world, uint32_t self) {
    const daxfs_attacher who = By(self);
    __u64 word = 0;
    int error = -1;
    for (int i = 0; i < tries && error != 0; ++i) {
      world.AwaitSlot(0, DAXFS_SLOT_DEAD);
      error = daxfs_succeed(&world.pool(), 0, &who, &word);
    }
    if (error != 0) return;
    if (daxfs_use_take(&world.pool(), 0, 0, 1) == 0) {
      world.Reported(self, daxfs_reference(0, 1));
      world.Pass(0);
      world.Reported(self, 0);
    }
    daxfs_detach(&world.pool(), 0);
  };
}

// Takes slot 0 over from a sweeper that died, and goes on with what that one was sweeping.
Program SuccessorOfASweeper(uint32_t dead) {
  return [dead](PoolWorld& world, uint32_t self) {
    __u64 word = 0;
    world.AwaitSlot(0, DAXFS_SLOT_DEAD);
    const daxfs_attacher who = By(self);
    if (daxfs_succeed(&world.pool(), 0, &who, &word) != 0) return;
    world.AwaitSlot(dead, DAXFS_SLOT_DEAD);
    daxfs_sweep(&world.pool(), 0, dead);
  };
}

// Begins in slot 0 under the number it found for its host.
Program Booter() {
  return [](PoolWorld& world, uint32_t) {
    __u64 word = 0;
    const daxfs_attacher who = {0, PoolWorld::kHostKey, Mark(1)};
    if (daxfs_attach(&world.pool(), 0, &who, &word) == 0) world.ghost(0) = 1;
  };
}

bool IsAttached(const PoolWorld& world, uint32_t slot) {
  return daxfs_word_state(world.pool().slots[slot].raw) == DAXFS_SLOT_ATTACHED;
}

// Sees that the beginner has died, or was ended, and that its slot names nobody's number.
Program SweeperOfNameless() {
  return [](PoolWorld& world, uint32_t self) {
    const daxfs_pool& pool = world.pool();
    Machine::Current().Await([&pool, &world] {
      const bool ended = daxfs_word_state(pool.slots[0].raw) == DAXFS_SLOT_DEAD;
      return pool.hosts->raw == 0 && (ended || !IsAttached(world, 1));
    });
    daxfs_sweep(&pool, self, 0);
    world.ghost(1) = 1;
  };
}

// Slot 0 is not its own.
Program SweeperOfTheBeginner() {
  return [](PoolWorld& world, uint32_t) {
    world.AwaitSlot(1, DAXFS_SLOT_DEAD);
    daxfs_sweep(&world.pool(), 2, 1);
  };
}

std::string SweptAndAttached(PoolWorld& world) {
  return world.ghost(1) == 1 && IsAttached(world, 0) ? "a slot of the dead is left over" : "";
}

// Joined under the number, and holds the lock for a slot somebody attaches to.
Program JoinedBefore(uint32_t slot) {
  return [slot](PoolWorld& world, uint32_t) {
    const daxfs_attacher who = {0, PoolWorld::kHostKey, Mark(1)};
    world.AwaitSlot(slot, DAXFS_SLOT_ATTACHED);
    daxfs_prove_dead(&world.pool(), slot, daxfs_load(&world.pool().slots[slot]), &who);
  };
}

// The host's kernel goes, whose id nobody will have again.
Program HostLeaver() {
  return
      [](PoolWorld& world, uint32_t) { daxfs_host_leave(&world.pool(), 0, PoolWorld::kHostKey); };
}

Program Fencer() {
  return
      [](PoolWorld& world, uint32_t) { daxfs_fence_host(&world.pool(), 0, PoolWorld::kHostKey); };
}

// Of another host: takes the number as soon as it is nobody's, and begins under it.
Program NextHost() {
  return [](PoolWorld& world, uint32_t self) {
    constexpr uint64_t kKey = PoolWorld::kHostKey + 2;
    daxfs_word* host = world.pool().hosts;
    Machine::Current().Await([host] { return host->raw == 0; });
    if (daxfs_cas(host, 0, kKey) != 0) return;
    __u64 word = 0;
    const daxfs_attacher who = {0, kKey, 2ULL << 32 | 1};  // another boot's
    if (daxfs_attach(&world.pool(), self, &who, &word) == 0) world.ghost(0) = 1;
  };
}

std::string BegunUnderNoNumber(PoolWorld& world) {
  const bool begun = world.ghost(0) == 1 && IsAttached(world, 0);
  return begun && world.pool().hosts->raw != PoolWorld::kHostKey ? "a slot names another's number"
                                                                 : "";
}

std::string EndedWithAnother(PoolWorld& world) {
  return world.ghost(0) == 1 && !IsAttached(world, 2) ? "the slot of a living host was ended" : "";
}

// Leaves in order, so that the next one may come.
Program Leaver() {
  return [](PoolWorld& world, uint32_t self) {
    world.Use(self, 1);
    daxfs_detach(&world.pool(), self);
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

// A use until the hold is there.
Program HolderUnderUse() {
  return [](PoolWorld& world, uint32_t self) {
    if (daxfs_use_take(&world.pool(), self, 0, 1) != 0) return;
    world.Reported(self, daxfs_reference(0, 1));
    __u64 word = 0;
    const bool held =
        daxfs_hold_take(&world.pool(), self, 0, &world.pool(), 0, 1, nullptr, &word) == 0;
    if (held) world.ReportedHold(daxfs_reference(0, 1));
    world.Reported(self, 0);
    daxfs_use_drop(&world.pool(), self, 0);
    if (!held) return;
    world.Pass(self);
    world.ReportedHold(0);
    daxfs_hold_drop(&world.pool(), 0, word);
  };
}

// Ghost 2 of these worlds is a lock of slot 0, as each participant has one of its own.
void Lock(PoolWorld& world) {
  if (!DAXFS_RULE(CALLER_LOCK)) return;
  world.AwaitGhost(2, 0);
  world.ghost(2) = 1;
}

// Whoever has the lock next sees what was stored under it.
void Unlock(PoolWorld& world) {
  if (DAXFS_RULE(CALLER_LOCK)) daxfs_fence();
  world.ghost(2) = 0;
}

// Two processes behind slot 0, each with a row of its own in the same word of uses.
Program RowOfItsOwn() {
  return [](PoolWorld& world, uint32_t self) {
    Lock(world);
    const int error = daxfs_use_take(&world.pool(), 0, self, 1);
    Unlock(world);
    if (error != 0) return;
    world.Reported(self, daxfs_reference(self, 1));
    world.Pass(0);
    world.Reported(self, 0);
    Lock(world);
    daxfs_use_drop(&world.pool(), 0, self);
    Unlock(world);
  };
}

// Two processes behind slot 0 that count their users of row 0 in scratch word 0.
Program Counted() {
  return [](PoolWorld& world, uint32_t self) {
    daxfs_word* count = world.scratch(0);
    Lock(world);
    const uint64_t before = daxfs_load(count);
    daxfs_store(count, before + 1);
    int error = before == 0 ? daxfs_use_take(&world.pool(), 0, 0, 1) : 0;
    if (error != 0) daxfs_store(count, before);
    Unlock(world);
    if (error != 0) return;
    world.Reported(self, daxfs_reference(0, 1));
    world.Pass(0);
    world.Reported(self, 0);
    Lock(world);
    const uint64_t users = daxfs_load(count);
    daxfs_store(count, users - 1);
    if (users == 1) daxfs_use_drop(&world.pool(), 0, 0);
    Unlock(world);
  };
}

// Has a use until the other says that it has one too: ghost 0, then ghost 1.
Program Donor() {
  return [](PoolWorld& world, uint32_t self) {
    if (daxfs_use_take(&world.pool(), self, 0, 1) != 0) return;
    world.Reported(self, daxfs_reference(0, 1));
    world.ghost(0) = 1;
    world.AwaitGhost(1, 1);
    world.Reported(self, 0);
    daxfs_use_drop(&world.pool(), self, 0);
  };
}

Program Recipient() {
  return [](PoolWorld& world, uint32_t self) {
    world.AwaitGhost(0, 1);
    int error = 0;
    if (DAXFS_RULE(CALLER_TAKES))
      error = daxfs_use_take(&world.pool(), self, 0, 1);
    else
      daxfs_store(&world.pool().uses[self], 1);
    if (error == 0) world.Reported(self, daxfs_reference(0, 1));
    world.ghost(1) = 1;
    if (error != 0) return;
    world.Pass(self);
    world.Reported(self, 0);
    daxfs_use_drop(&world.pool(), self, 0);
  };
}

// Slot 0 has a use all the time, so whoever looks has to get one as well.
Program Keeper() {
  return [](PoolWorld& world, uint32_t self) {
    world.AwaitGhost(0, 1);
    world.Reported(self, 0);
    daxfs_use_drop(&world.pool(), self, 0);
  };
}

Program SureReader() {
  return [](PoolWorld& world, uint32_t self) {
    const int error = daxfs_use_take(&world.pool(), self, 0, 1);
    if (error == -ENOENT) world.Say(Wrong::kMissed);
    if (error == 0) world.Report(self, self, daxfs_reference(0, 1));
    world.ghost(0) = 1;
  };
}

// Writes bytes as a builder does, past the caches, and publishes them before the row.
Program BytesBuilder() {
  return [](PoolWorld& world, uint32_t self) {
    uint64_t generation = 0;
    if (!world.Claim(self, 0, 0, &generation)) return;
    for (size_t i = 0; i < 2; ++i) Machine::Current().StoreLoose(world.scratch(i), 7);
    if (DAXFS_RULE(CALLER_PUBLISHES)) daxfs_publish(world.scratch(0), 16);
    if (daxfs_row_publish(&world.pool(), self, 0, generation) == 0)
      daxfs_use_drop(&world.pool(), self, 0);
  };
}

Program BytesReader() {
  return [](PoolWorld& world, uint32_t self) {
    if (daxfs_use_take(&world.pool(), self, 0, 1) != 0) return;
    for (size_t i = 0; i < 2; ++i)
      if (daxfs_load(world.scratch(i)) != 7) world.Say(Wrong::kBytes);
    daxfs_use_drop(&world.pool(), self, 0);
  };
}

// An object of granules in the split chunk 0.
Program GranuleBuilder(uint32_t row, uint32_t first, uint32_t count, bool after_row_0 = false) {
  return [=](PoolWorld& world, uint32_t self) {
    if (after_row_0) AwaitEnd(world);
    uint64_t generation = 0;
    if (!world.ClaimGranules(self, row, first, count, &generation)) return;
    if (daxfs_row_publish(&world.pool(), self, row, generation) != 0) return;
    daxfs_fence();
    world.Report(self, self, daxfs_reference(row, generation));
  };
}

// Merges chunk 0; who has it whole then uses it so.
Program Merger(bool builds = false) {
  return [builds](PoolWorld& world, uint32_t self) {
    if (daxfs_chunk_merge(&world.pool(), self, 0) == 0 && builds) world.Build(self, 0, 1);
  };
}

Program Splitter(uint32_t chunk) {
  return [chunk](PoolWorld& world, uint32_t) { daxfs_chunk_split(&world.pool(), chunk); };
}

void RowInGranule0(PoolWorld& world) {
  world.SetGranule(0, daxfs_reference(0, 1));
  world.Owns(0, 1, 1ULL << 16);
}

std::vector<PoolWorld::Spec> ReferenceSpecs() {
  return {
      {.name = "A-use-collect", .programs = {Reader(), Collector()}},
      {.name = "A-use-collect-rebuild", .programs = {Reader(), Collector(), Builder(1)}},
      {.name = "A2-use-collect-finish",
       .programs = {Reader(), Collector(2), Collector()},
       .large = true},
      {.name = "A-never-missed",
       .programs = {Keeper(), SureReader(), Collector()},
       .begin =
           [](PoolWorld& world) {
             world.SetUse(0, 0);
             world.Reported(0, daxfs_reference(0, 1));
           }},
      {.name = "B-hold-collect", .programs = {Holder(), Collector()}},
      {.name = "B-hold-under-use", .programs = {HolderUnderUse(), Collector()}},
      {.name = "B-two-holders", .programs = {Holder(), Holder(), Collector()}},
      {.name = "B-holder-dies",
       .programs = {Holder(), Collector(), Sweeper(0)},
       .departures = kDies},
      {.name = "B-hold-undone-dying",
       .programs = {Holder(), Collector(2)},
       .begin =
           [](PoolWorld& world) {
             world.OwnsNothing(0);
             world.SetOwner(0, 0);
           }},
      {.name = "A-undone-dying", .programs = {Reader(), Collector(2)}},
      {.name = "C-user-dies", .programs = {Reader(), Sweeper(0), Collector()}, .departures = kDies},
      {.name = "C-two-rows-one-word",
       .programs = {RowOfItsOwn(), RowOfItsOwn(), Collector()},
       .rows = 2,
       .ready = 2},
      {.name = "C-count-behind-a-bit", .programs = {Counted(), Counted(), Collector()}},
      {.name = "H-publish-collect", .programs = {Builder(), Collector()}, .ready = 0},
      {.name = "D-bytes", .programs = {BytesBuilder(), BytesReader()}, .ready = 0},
      {.name = "X-attach-collect", .programs = {Newcomer(), Collector()}, .attached = 0xfe},
      {.name = "X-leave-attach-collect", .programs = {Leaver(), Newcomer(), Collector()}},
      {.name = "K-attach-or-proof",
       .programs = {Locked(), Prover(1), Collector()},
       .attached = 0xfe,
       .records = true},
      {.name = "K-two-attach-one-proof",
       .programs = {Locked(), Prover(2), Locked()},
       .attached = 0xfe,
       .records = true},
      {.name = "K-attach-or-two-proofs",
       .programs = {Predecessor(), Locked(), Prover(0, 2), Prover(2, 0)},
       .records = true,
       .begin = [](PoolWorld& world) { world.SetLock(0, Mark(7)); }},
      {.name = "K-proof-of-another-life",
       .programs = {Nobody(), ProverOfTheFirst(), Burier(), Foreigner()},
       .records = true,
       .begin = [](PoolWorld& world) { world.SetLock(0, Mark(2)); },
       .end = WithoutItsLock},
      {.name = "K-attacher-dies",
       .programs = {Predecessor(), Attacher(), ProverOfTheSame()},
       .departures = {{1, Exit::kDies}},
       .records = true,
       .begin = [](PoolWorld& world) { world.SetLock(0, Mark(7)); },
       .end = AttachedByTheDead},
      {.name = "K-successor",
       .programs = {Builder(), Successor(), Collector()},
       .departures = kDies,
       .ready = 0,
       .records = true},
      {.name = "K-successor-or-sweeper",
       .programs = {Reader(), Successor(), Sweeper(0), Collector()},
       .departures = kDies,
       .records = true},
      {.name = "K-two-successors",
       .programs = {Collector(), Successor(), Successor(3)},
       .departures = kDies,
       .records = true},
      {.name = "K-successor-of-a-sweeper",
       .programs = {Sweeper(2), SuccessorOfASweeper(2), Reader()},
       .departures = {{0, Exit::kDies}, {2, Exit::kDies}},
       .records = true},
      {.name = "K-successor-of-another-life",
       .programs = {Nobody(), Successor(), ProverOfLives(2), Locked()},
       .records = true,
       .begin =
           [](PoolWorld& world) {
             world.SetSlot(0, DAXFS_SLOT_DEAD);
             world.SetLock(0, Mark(7));
           }},
      {.name = "K-successor-dies",
       .programs = {Nobody(), Successor(), ProverOfTheSame()},
       .departures = {{1, Exit::kDies}},
       .records = true,
       .begin =
           [](PoolWorld& world) {
             world.SetSlot(0, DAXFS_SLOT_DEAD);
             world.SetLock(0, Mark(7));
           },
       .end = AttachedByTheDead},
      {.name = "K-host-begins-while-ended",
       .programs = {Booter(), Fencer(), Sweeper(0)},
       .attached = 0,
       .records = true,
       .host = true,
       .end = BegunUnderNoNumber},
      {.name = "K-beginner-dies",
       .programs = {SweeperOfTheBeginner(), Booter(), Fencer(), SweeperOfNameless()},
       .departures = {{1, Exit::kDies}},
       .attached = 0,
       .records = true,
       .host = true,
       .begin =
           [](PoolWorld& world) {  // not of the host that is ended
             world.pool().slots[1].raw = daxfs_word_make(DAXFS_SLOT_ATTACHED, 1, 0);
           },
       .end = SweptAndAttached},
      {.name = "K-host-begins-while-it-leaves",
       .programs = {Booter(), HostLeaver(), Sweeper(0)},
       .attached = 0,
       .records = true,
       .host = true,
       .end = BegunUnderNoNumber},
      {.name = "K-proof-of-another-host",
       .programs = {JoinedBefore(2), Fencer(), NextHost()},
       .attached = 0,
       .records = true,
       .host = true,
       .end = EndedWithAnother},
      {.name = "K-two-fences",
       .programs = {Fencer(), Fencer(), NextHost()},
       .attached = 0,
       .records = true,
       .host = true,
       .end = EndedWithAnother},
      {.name = "Z-hand-over", .programs = {Recipient(), Donor(), Collector()}},
  };
}

std::vector<PoolWorld::Spec> DeathSpecs() {
  return {
      {.name = "G-builder-dies",
       .programs = {Builder(), Sweeper(0)},
       .departures = kDies,
       .ready = 0},
      {.name = "G-collector-dies",
       .programs = {Collector(), Sweeper(0), Reader()},
       .departures = kDies},
      {.name = "G-collector-off",
       .programs = {Collector(), Sweeper(0), Reader()},
       .departures = kOff},
      {.name = "G-builder-off",
       .programs = {Builder(), Sweeper(0)},
       .departures = kOff,
       .ready = 0},
      {.name = "X-two-sweepers",
       .programs = {Reader(), Sweeper(0, true), Sweeper(0), Newcomer()},
       .departures = kDies},
      {.name = "S-collector-stalls",
       .programs = {Collector(), Reader(), Collector()},
       .departures = kStops},
      {.name = "W-sweeper-dies",
       .programs = {Reader(), Sweeper(0), Heir()},
       .departures = {{0, Exit::kDies}, {1, Exit::kDies}}},
      {.name = "S-collector-stalls-rebuild",
       .programs = {Collector(), Reader(), Collector(), Builder(1)},
       .departures = kStops,
       .large = true},
      {.name = "A2-two-of-each",
       .programs = {Reader(), Reader(), Collector(), Collector()},
       .large = true},
      {.name = "P-use-hold-collect-rebuild",
       .programs = {Reader(), Holder(), Collector(), Builder(1)},
       .large = true},
      {.name = "P-collector-dies-rebuild",
       .programs = {Collector(), Sweeper(0, true), Holder(), Builder(1)},
       .departures = kDies,
       .large = true},
  };
}

std::vector<PoolWorld::Spec> ChunkSpecs() {
  return {
      {.name = "F-orphans", .programs = {Collector(), Builder(), Finder()}},
      {.name = "F-orphan-taken",
       .programs = {Builder(1), Finder(1)},
       .ready = 0,
       .begin = [](PoolWorld& world) { world.SetOwner(1, daxfs_reference(0, 0)); }},
      {.name = "P2-other-row-takes-orphan",
       .programs = {Collector(), BuilderOfRow1(), Reader()},
       .rows = 2},
      {.name = "P2-finder-too", .programs = {Collector(), BuilderOfRow1(), Finder()}, .rows = 2},
      {.name = "P2-collector-dies",
       .programs = {Collector(), BuilderOfRow1(), Sweeper(0)},
       .departures = kDies,
       .rows = 2},
      {.name = "P2-two-builders-one-orphan",
       .programs = {Collector(), BuilderOfRow1(), Builder()},
       .rows = 2},
      {.name = "P2-hold-collect-both",
       .programs = {Collector(), BuilderOfRow1(), Holder(), Collector(1, 1)},
       .rows = 2,
       .large = true},
      {.name = "P2-death-and-two-rows",
       .programs = {Collector(2), BuilderOfRow1(), Holder(), Sweeper(0, true)},
       .departures = kDies,
       .rows = 2,
       .endless = true},
      {.name = "M-split-or-take",
       .programs = {Splitter(1), Splitter(1),
                    [](PoolWorld& w, uint32_t self) { w.Build(self, 1); }},
       .ready = 0,
       .granules = true},
      {.name = "M-take-merge",
       .programs = {GranuleBuilder(0, 0, 1), Merger(true)},
       .rows = 2,
       .ready = 0,
       .granules = true},
      {.name = "M-take-take-merge",
       .programs = {GranuleBuilder(0, 0, 2), GranuleBuilder(1, 1, 1), Merger()},
       .rows = 2,
       .ready = 0,
       .granules = true,
       .large = true},
      {.name = "M-merger-dies",
       .programs = {Merger(), Sweeper(0), GranuleBuilder(0, 1, 1)},
       .departures = kDies,
       .ready = 0,
       .granules = true},
      {.name = "M-taker-dies",
       .programs = {GranuleBuilder(0, 0, 1), Sweeper(0), Merger(true)},
       .departures = kDies,
       .rows = 2,
       .ready = 0,
       .granules = true,
       .large = true},
      {.name = "M-collect-take-merge",
       .programs = {Collector(), GranuleBuilder(1, 0, 1, true), Merger()},
       .rows = 2,
       .granules = true,
       .large = true,
       .begin = RowInGranule0},
  };
}

}  // namespace

std::vector<PoolWorld::Spec> ObjectSpecs() {
  std::vector<PoolWorld::Spec> all;
  for (const auto& specs : {ReferenceSpecs(), DeathSpecs(), ChunkSpecs()})
    all.insert(all.end(), specs.begin(), specs.end());
  return all;
}

}  // namespace daxfs::sim
