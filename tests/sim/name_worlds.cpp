// SPDX-License-Identifier: Apache-2.0
// Worlds of aliases: names and their flips, rows that are used again, duplicates.
#include "pool_world.hpp"

namespace daxfs::sim {
namespace {

using Program = PoolWorld::Program;

const std::vector<Departure> kDies = {{0, Exit::kDies}};

void AwaitEnd(PoolWorld& world) {
  Machine::Current().Await([&world] { return daxfs_word_generation(world.Raw(0)) > 1; });
}

// Once, then once more, then by force: what a caller does, without the time between.
int InsertUnique(PoolWorld& world, uint32_t self, uint64_t key, uint32_t row, int tries,
                 bool force = false) {
  const daxfs_key wanted = PoolWorld::Key(key);
  daxfs_alias alias = {};
  int error = -EAGAIN;
  for (int i = 1; i <= tries && error == -EAGAIN; ++i)
    error = daxfs_index_insert_unique(&world.pool(), &world.names(), self, &wanted,
                                      daxfs_reference(row, 1), nullptr, force || i == 3, &alias);
  return error;
}

Program Inserter(uint64_t key, int tries = 1, bool force = false) {
  return [=](PoolWorld& world, uint32_t self) {
    InsertUnique(world, self, key, static_cast<uint32_t>(key % 10 % 2), tries, force);
  };
}

// What was inserted is there behind it: for worlds in which nobody removes that key.
Program SureInserter(uint64_t key, bool unique) {
  return [=](PoolWorld& world, uint32_t self) {
    const daxfs_key wanted = PoolWorld::Key(key);
    const uint64_t target = daxfs_reference(static_cast<uint32_t>(key % 10), 1);
    daxfs_alias alias = {}, found = {};
    const int error = unique ? daxfs_index_insert_unique(&world.pool(), &world.names(), self,
                                                         &wanted, target, nullptr, 0, &alias)
                             : daxfs_index_insert(&world.pool(), &world.names(), self, &wanted,
                                                  target, nullptr, &alias);
    if (error == -ENOSPC && !unique) world.Say(Wrong::kRefused);
    if (error != 0) return;
    daxfs_fence();
    if (daxfs_index_find(&world.pool(), &world.names(), &wanted, alias.position, &found) != 0 ||
        found.position != alias.position)
      world.Say(Wrong::kLost);
  };
}

// Forces the tentative row 0 out of its way.
Program Forcer() {
  return [](PoolWorld& world, uint32_t self) {
    world.AwaitName(0, DAXFS_ALIAS_TENTATIVE);
    InsertUnique(world, self, 10, 0, 1, true);
  };
}

// Inserts another name into row 0 when it has been used and is free.
Program Reuser() {
  return [](PoolWorld& world, uint32_t self) {
    world.AwaitName(0, DAXFS_ALIAS_TENTATIVE);
    world.AwaitName(0, DAXFS_ALIAS_FREE);
    SureInserter(11, true)(world, self);
  };
}

bool Find(PoolWorld& world, uint64_t key, daxfs_alias* alias) {
  const daxfs_key wanted = PoolWorld::Key(key);
  return daxfs_index_find(&world.pool(), &world.names(), &wanted, 0, alias) == 0;
}

// Removes a key and, where it was, inserts another.
Program Replacer(uint64_t key, uint64_t other) {
  return [=](PoolWorld& world, uint32_t self) {
    daxfs_alias alias = {};
    if (!Find(world, key, &alias)) return;
    if (daxfs_index_remove(&world.names(), &alias) != 0) return;
    InsertUnique(world, self, other, static_cast<uint32_t>(other % 10), 1);
  };
}

Program Looker(uint64_t key) {
  return [=](PoolWorld& world, uint32_t) {
    daxfs_alias alias = {};
    if (Find(world, key, &alias) && daxfs_reference_row(alias.target) != key % 10)
      world.Say(Wrong::kObject);
  };
}

// Looks for an object and uses it. `sure`: there is always one.
Program ObjectReader(uint64_t key, bool sure) {
  return [=](PoolWorld& world, uint32_t self) {
    const daxfs_key wanted = PoolWorld::Key(key);
    daxfs_alias alias = {};
    int had = 0;
    const int error = daxfs_object_find(&world.pool(), self, &world.pool(), &world.names(), &wanted,
                                        &alias, &had);
    if (error == -ENOENT && sure) world.Say(Wrong::kMissed);
    if (error != 0) return;
    if (key >= 10 && daxfs_reference_row(alias.target) != key % 10) world.Say(Wrong::kObject);
    world.Report(self, self, alias.target);
  };
}

// `known`: found before the first step, maybe long ago.
Program Flipper(uint64_t key, uint32_t row, bool collects = false, bool known = false) {
  return [=](PoolWorld& world, uint32_t self) {
    daxfs_alias alias = known ? world.At(0) : daxfs_alias{};
    if (!known && !Find(world, key, &alias)) return;
    const uint32_t old = daxfs_reference_row(alias.target);
    const int error = daxfs_index_flip(&world.names(), self, &alias, daxfs_reference(row, 1));
    if (error == 0 && collects) daxfs_collect(&world.pool(), self, old);
  };
}

Program Sweeper(uint32_t dead) {
  return [dead](PoolWorld& world, uint32_t self) {
    world.AwaitSlot(dead, DAXFS_SLOT_DEAD);
    daxfs_sweep(&world.pool(), self, dead);
  };
}

Program Collector(uint32_t row = 0) {
  return [row](PoolWorld& world, uint32_t self) { daxfs_collect(&world.pool(), self, row); };
}

// Puts an alias of row 1 where that of row 0 was, when row 0 has ended.
Program OrphanTaker(uint64_t key) {
  return [key](PoolWorld& world, uint32_t self) {
    AwaitEnd(world);
    SureInserter(key, false)(world, self);
  };
}

void DropOwn(PoolWorld& world, uint32_t self, uint32_t row) {
  daxfs_use_drop(&world.pool(), self, row);
  if (DAXFS_RULE(CALLER_COLLECTS)) {
    daxfs_collect(&world.pool(), self, row);
    return;
  }
  const uint64_t ready = daxfs_word_make(DAXFS_ROW_READY, 0, 1);
  const uint64_t ended = daxfs_word_make(DAXFS_ROW_RECLAIMING, self, 2);
  if (daxfs_cas(&world.pool().rows[row], ready, ended) == ready)
    daxfs_reclaim(&world.pool(), row, ended);
}

// Publication first, then a look for others: what rule CALLER_ADOPTS forbids.
void PublishThenLook(PoolWorld& world, uint32_t self, uint64_t generation) {
  const daxfs_key key = PoolWorld::Key(1);
  daxfs_alias own = {}, other = {};
  if (daxfs_row_publish(&world.pool(), self, self, generation) != 0) return;
  daxfs_index_insert(&world.pool(), &world.names(), self, &key, daxfs_reference(self, generation),
                     nullptr, &own);
  daxfs_fence();
  for (uint32_t from = 0; daxfs_index_find(&world.pool(), &world.names(), &key, from, &other) == 0;
       from = other.position + 1)
    if (other.target != own.target) return DropOwn(world, self, self);
  world.Report(self, self, own.target);
}

// Builds row `self` for key 1, unless another has.
Program DuplicateBuilder() {
  return [](PoolWorld& world, uint32_t self) {
    const daxfs_key key = PoolWorld::Key(1);
    uint64_t generation = 0;
    if (!world.Claim(self, self, self, &generation)) return;
    if (!DAXFS_RULE(CALLER_ADOPTS)) return PublishThenLook(world, self, generation);
    daxfs_alias alias = {};
    int had = 0;
    const int error = daxfs_row_publish_or_adopt(&world.pool(), &world.names(), self, self,
                                                 generation, &key, &alias, &had);
    if (error == 0)
      daxfs_index_insert(&world.pool(), &world.names(), self, &key,
                         daxfs_reference(self, generation), nullptr, &alias);
    if (error == 0 || error == -EEXIST) {
      daxfs_fence();
      world.Report(self, self, alias.target);
    }
  };
}

std::string OneName(PoolWorld& world) {
  return world.Committed(1) == 1 ? "" : "all inserters lost";
}

std::string OneObject(PoolWorld& world) {
  for (size_t row = 0; row < 2; ++row)
    if (daxfs_word_state(world.Raw(row)) == DAXFS_ROW_READY) return "";
  return "all duplicates were dropped";
}

void OneAlias(PoolWorld& world) { world.Put(1, daxfs_reference(0, 1)); }
void OneKey(PoolWorld& world) { world.PutBodies(1, daxfs_reference(1, 1)); }
void AliasOfRow0(PoolWorld& world) { world.Put(10, daxfs_reference(0, 1)); }

// A name of what is gone.
void NameOfNothing(PoolWorld& world) {
  OneAlias(world);
  world.SetRow(0, DAXFS_ROW_FREE, 2);
  world.SetOwner(0, 0);
}

std::vector<PoolWorld::Spec> UniqueSpecs() {
  return {
      {.name = "N-2-inserters",
       .programs = {Inserter(1), Inserter(1)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kBodies | PoolWorld::kMark,
       .names = 2,
       .begin = OneKey,
       .end = OneName},
      {.name = "N-2-inserters-again",
       .programs = {Inserter(1, 3), Inserter(1, 3)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kBodies | PoolWorld::kMark,
       .names = 2,
       .large = true,
       .begin = OneKey},
      {.name = "N-overflow-begins",
       .programs = {Inserter(1), Inserter(1)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kBodies,
       .names = 2,
       .begin =
           [](PoolWorld& world) {
             OneKey(world);
             world.names().overflow_used->raw = 0;
           },
       .end = OneName},
      {.name = "N-3-inserters",
       .programs = {Inserter(1), Inserter(1), Inserter(1)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kBodies | PoolWorld::kMark,
       .names = 3,
       .large = true,
       .begin = OneKey,
       .end = OneName},
      {.name = "N-3-inserters-again",
       .programs = {Inserter(1, 3), Inserter(1, 3), Inserter(1, 3)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kBodies | PoolWorld::kMark,
       .names = 3,
       .endless = true,
       .begin = OneKey},
      {.name = "N-buckets",
       .programs = {Inserter(10, 3), Replacer(10, 11), Inserter(10, 3), Looker(10)},
       .departures = {{0, Exit::kStops}},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 1,
       .buckets = 2,
       .endless = true},
      {.name = "N-3-force-and-reuse",
       .programs = {SureInserter(10, true), Forcer(), Reuser()},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 2},
      {.name = "N-insert-and-replace",
       .programs = {Inserter(10), Replacer(10, 11), Inserter(10)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 2,
       .large = true},
      {.name = "N-inserter-dies",
       .programs = {Inserter(1), Sweeper(0), Inserter(1, 3)},
       .departures = kDies,
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kBodies | PoolWorld::kMark,
       .names = 2,
       .large = true,
       .begin = OneKey},
      {.name = "N-name-of-nothing",
       .programs = {Flipper(1, 1, false, true), Inserter(1)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 2,
       .begin = NameOfNothing},
  };
}

std::vector<PoolWorld::Spec> FlipSpecs() {
  return {
      {.name = "N-flip-and-replace",
       .programs = {Flipper(1, 1), Replacer(1, 10)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 1,
       .begin = OneAlias},
      {.name = "N-two-flips-one-dies",
       .programs = {Flipper(1, 1), Sweeper(0), Flipper(1, 1)},
       .departures = kDies,
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 1,
       .begin = OneAlias,
       .end = OneName},
      {.name = "S6-flip-collect-read",
       .programs = {ObjectReader(1, true), Flipper(1, 1, true)},
       .rows = 2,
       .ready = 2,
       .names = 1,
       .begin = OneAlias},
  };
}

std::vector<PoolWorld::Spec> RowSpecs() {
  return {
      {.name = "S6-flip-collect-two-readers",
       .programs = {ObjectReader(1, true), Flipper(1, 1, true), ObjectReader(1, true)},
       .rows = 2,
       .ready = 2,
       .names = 1,
       .endless = true,
       .begin = OneAlias},
      {.name = "T-row-used-again",
       .programs = {Looker(10), Replacer(10, 11)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 1,
       .begin = AliasOfRow0},
      {.name = "T-orphan-used-again",
       .programs = {ObjectReader(10, false), Collector(), OrphanTaker(11)},
       .rows = 2,
       .ready = 2,
       .names = 1,
       .large = true,
       .begin = AliasOfRow0},
      {.name = "I-two-take-two-rows",
       .programs = {SureInserter(10, false), SureInserter(11, false)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 2,
       .duplicates = true},
      {.name = "I-orphan-and-free-row",
       .programs = {SureInserter(10, false), SureInserter(10, false)},
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 2,
       .duplicates = true,
       .begin = [](PoolWorld& world) { world.Put(11, daxfs_reference(1, 0)); }},
      {.name = "I-inserter-dies",
       .programs = {SureInserter(10, false), Sweeper(0), SureInserter(10, false)},
       .departures = kDies,
       .rows = 2,
       .ready = 2,
       .still = PoolWorld::kRows | PoolWorld::kMark,
       .names = 2,
       .duplicates = true},
      {.name = "E-two-builders",
       .programs = {DuplicateBuilder(), DuplicateBuilder()},
       .rows = 2,
       .ready = 0,
       .names = 2,
       .duplicates = true,
       .end = OneObject},
      {.name = "E-two-builders-reader",
       .programs = {DuplicateBuilder(), DuplicateBuilder(), ObjectReader(1, false)},
       .rows = 2,
       .ready = 0,
       .names = 2,
       .duplicates = true,
       .large = true},
      {.name = "E-two-builders-collector",
       .programs = {DuplicateBuilder(), DuplicateBuilder(), Collector()},
       .rows = 2,
       .ready = 0,
       .names = 2,
       .duplicates = true,
       .large = true},
  };
}

}  // namespace

std::vector<PoolWorld::Spec> NameSpecs() {
  std::vector<PoolWorld::Spec> all;
  for (const auto& specs : {UniqueSpecs(), FlipSpecs(), RowSpecs()})
    all.insert(all.end(), specs.begin(), specs.end());
  return all;
}

}  // namespace daxfs::sim
