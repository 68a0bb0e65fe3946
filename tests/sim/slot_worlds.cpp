// SPDX-License-Identifier: Apache-2.0
// Worlds of slots, and of who has them: locks, proofs of death, hosts that are ended.
#include "programs.hpp"

namespace daxfs::sim {
namespace {

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

// Finds slot 0 dead, as it was, by a lock of no other's.
Program SuccessorOfTheFirst() {
  return [](PoolWorld& world, uint32_t) {
    __u64 word = 0;
    const daxfs_attacher who = By(5);
    daxfs_succeed(&world.pool(), 0, &who, &word);
  };
}

Program SweeperOfTheFirst() {
  return [](PoolWorld& world, uint32_t self) { daxfs_sweep(&world.pool(), self, 0); };
}

// Attaches to slot 0 by the lock of a file: 7 is that of its first owner.
Program OfTheFile(uint64_t file) {
  return [file](PoolWorld& world, uint32_t) {
    __u64 word = 0;
    const daxfs_attacher who = By(file);
    world.AwaitSlot(0, DAXFS_SLOT_FREE);
    if (daxfs_attach(&world.pool(), 0, &who, &word) == 0) world.ghost(0) = 1;
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
  return world.ghost(0) == 1 && lock >> 32 == 0 ? "the living lost its lock" : "";
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

// Slot 0 was somebody's who died, and named the lock of file 7.
void DeadOfFile7(PoolWorld& world) {
  world.SetSlot(0, DAXFS_SLOT_DEAD);
  world.SetLock(0, Mark(7));
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

uint64_t AwaitFree(const daxfs_word* host) {
  Machine::Current().Await([host] { return daxfs_key_is_free(host->raw) != 0; });
  return daxfs_load(host);
}

// Sees that the beginner has died, or was ended, and that its slot names nobody's number.
Program SweeperOfNameless() {
  return [](PoolWorld& world, uint32_t self) {
    const daxfs_pool& pool = world.pool();
    Machine::Current().Await([&pool, &world] {
      const bool ended = daxfs_word_state(pool.slots[0].raw) == DAXFS_SLOT_DEAD;
      return daxfs_key_is_free(pool.hosts->raw) != 0 && (ended || !IsAttached(world, 1));
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
  return [](PoolWorld& world, uint32_t) {
    daxfs_fence_host(&world.pool(), 0, PoolWorld::kHostKey);
    world.ghost(2) = 1;
  };
}

// Comes to its end behind the fencer's.
Program LateBooter() {
  return [](PoolWorld& world, uint32_t) {
    __u64 word = 0;
    const daxfs_attacher who = {0, PoolWorld::kHostKey, Mark(1)};
    if (daxfs_attach(&world.pool(), 0, &who, &word) == 0) world.ghost(0) = world.ghost(2);
  };
}

std::string BegunWithAnEndedKey(PoolWorld& world) {
  const bool begun = world.ghost(0) == 1 && IsAttached(world, 0);
  return begun ? "who joined before its host was ended begins behind that" : "";
}

// Of the host that was ended: joins again, and is given the same number.
Program Rejoiner() {
  return [](PoolWorld& world, uint32_t) {
    daxfs_word* host = world.pool().hosts;
    const uint64_t free = AwaitFree(host);
    daxfs_cas(host, free, (PoolWorld::kHostKey & ~0xffffULL) | free | 1);
  };
}

// Of another host: takes the number as soon as it is nobody's, and begins under it.
Program NextHost() {
  return [](PoolWorld& world, uint32_t self) {
    constexpr uint64_t kHash = 0x20000;
    daxfs_word* host = world.pool().hosts;
    const uint64_t kKey = kHash | 1 | AwaitFree(host);
    if (daxfs_key_is_free(daxfs_cas(host, kKey & 0xfffe, kKey)) == 0) return;
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

}  // namespace

std::vector<PoolWorld::Spec> SlotSpecs() {
  return {
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
      {.name = "K-successor-stalls",
       .programs = {Nobody(), SuccessorOfTheFirst(), SweeperOfTheFirst(), OfTheFile(7)},
       .records = true,
       .begin = DeadOfFile7,
       .end = WithoutItsLock},
      {.name = "K-successor-stalls-by-a-neighbour",
       .programs = {Nobody(), SuccessorOfTheFirst(), SweeperOfTheFirst(), OfTheFile(6)},
       .records = true,
       .begin = DeadOfFile7,
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
       .begin = DeadOfFile7},
      {.name = "K-successor-dies",
       .programs = {Nobody(), Successor(), ProverOfTheSame()},
       .departures = {{1, Exit::kDies}},
       .records = true,
       .begin = DeadOfFile7,
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
      {.name = "K-host-rejoins",
       .programs = {LateBooter(), Fencer(), Sweeper(0), Rejoiner()},
       .attached = 0,
       .records = true,
       .host = true,
       .end = BegunWithAnEndedKey},
      {.name = "K-two-fences",
       .programs = {Fencer(), Fencer(), NextHost()},
       .attached = 0,
       .records = true,
       .host = true,
       .end = EndedWithAnother},
  };
}

}  // namespace daxfs::sim
