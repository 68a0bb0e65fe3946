// SPDX-License-Identifier: Apache-2.0
// Worlds of hosts without coherence: what one tells the other is written back, then read anew.
#include "far_world.hpp"

namespace daxfs::sim {
namespace {

using Program = FarWorld::Program;

bool Take(FarWorld& world, uint32_t self, uint32_t row = 0, uint64_t generation = 1) {
  return daxfs_far_use_take(&world.Own(self), world.SlotOf(self), &world.View(self, 0), row,
                            generation) == 0;
}

void Drop(FarWorld& world, uint32_t self, uint32_t row = 0) {
  daxfs_far_use_drop(&world.Own(self), world.SlotOf(self), &world.View(self, 0), row);
}

void TellAll(FarWorld& world, uint32_t told) {
  daxfs_fence();  // what was written back is there before anybody is told
  world.Tell(told);
}

void Reader(FarWorld& world, uint32_t self) {
  if (!Take(world, self)) return;
  world.Report(self, 0, 1);
  Drop(world, self);
}

void ReaderOnceTold(FarWorld& world, uint32_t self) {
  world.AwaitTold(0);
  if (!Take(world, self)) return world.Say(Wrong::kMissed);
  Drop(world, self);
}

void Collector(FarWorld& world, uint32_t self) {
  daxfs_collect(&world.Own(self), world.SlotOf(self), 0);
}

Program CollectorOnceTold(uint32_t told) {
  return [told](FarWorld& world, uint32_t self) {
    world.AwaitTold(told);
    if (daxfs_collect(&world.Own(self), world.SlotOf(self), 0) != 0) world.Say(Wrong::kRefused);
  };
}

bool Hold(FarWorld& world, uint32_t self, __u64* word) {
  return daxfs_hold_take(&world.Own(self), world.SlotOf(self), 0, &world.View(self, 0), 0, 1,
                         nullptr, word) == 0;
}

void Holder(FarWorld& world, uint32_t self) {
  __u64 word = 0;
  if (!Hold(world, self, &word)) return;
  world.Report(self, 0, 1);
  daxfs_hold_drop(&world.Own(self), 0, word);
  TellAll(world, 0);
}

void Builder(FarWorld& world, uint32_t self) {
  __u64 generation = 0;
  if (daxfs_row_claim(&world.Own(self), world.SlotOf(self), 0, &generation) != 0) return;
  if (daxfs_row_publish(&world.Own(self), world.SlotOf(self), 0, generation) != 0) return;
  daxfs_use_drop(&world.Own(self), world.SlotOf(self), 0);
  TellAll(world, 0);
}

// Has a use of its own, so that it collects in vain.
void UserCollects(FarWorld& world, uint32_t self) {
  if (daxfs_use_take(&world.Own(self), world.SlotOf(self), 0, 1) != 0) return;
  daxfs_collect(&world.Own(self), world.SlotOf(self), 0);
  TellAll(world, 0);
}

// An object is full of its generation.
void Rebuilder(FarWorld& world, uint32_t self) {
  __u64 generation = 0;
  if (daxfs_collect(&world.Own(self), world.SlotOf(self), 0) != 0) return;
  if (daxfs_row_claim(&world.Own(self), world.SlotOf(self), 0, &generation) != 0) return;
  daxfs_store(world.Bytes(0), generation);
  if (DAXFS_RULE(CALLER_WRITES)) daxfs_write_back(world.Bytes(0), 8);
  daxfs_row_publish(&world.Own(self), world.SlotOf(self), 0, generation);
}

void BytesReader(FarWorld& world, uint32_t self) {
  const uint64_t word =
      daxfs_load_anew(DAXFS_ROLE_FAR, world.Row(0), 1);  // as an alias would say it
  const uint64_t generation = daxfs_word_generation(word);
  if (!Take(world, self, 0, generation)) return;
  if (DAXFS_RULE(CALLER_REFRESHES)) daxfs_refresh(world.Bytes(0), 8);
  if (daxfs_load(world.Bytes(0)) != generation) world.Say(Wrong::kBytes);
  Drop(world, self);
}

void Leaver(FarWorld& world, uint32_t self) {
  Take(world, self);
  daxfs_detach(&world.Own(self), world.SlotOf(self));
  TellAll(world, 0);
}

void Dropper(FarWorld& world, uint32_t self) {
  if (Take(world, self)) Drop(world, self);
  TellAll(world, 0);
}

daxfs_key Key(uint64_t number) { return {{number, 0, 0, 0}, DAXFS_ALIAS_NAME}; }

void Insert(FarWorld& world, uint32_t self, uint64_t key, uint32_t row, uint64_t generation) {
  const daxfs_key wanted = Key(key);
  daxfs_alias alias = {};
  daxfs_index_insert(&world.Own(self), &world.Own(self).aliases, world.SlotOf(self), &wanted,
                     daxfs_reference(row, generation), nullptr, &alias);
}

// A key k of 10 or more is of row k mod 10.
int Find(FarWorld& world, uint32_t self, uint64_t key) {
  const daxfs_key wanted = Key(key);
  const daxfs_pool& home = world.View(self, 0);
  daxfs_alias alias = {};
  int had = 0;
  const int error = daxfs_object_find(&world.Own(self), world.SlotOf(self), &home, &home.aliases,
                                      &wanted, &alias, &had);
  if (error != 0) return error;
  const uint32_t row = daxfs_reference_row(alias.target);
  if (key >= 10 && row != key % 10) world.Say(Wrong::kObject);
  world.Report(self, row, daxfs_word_generation(alias.target));
  Drop(world, self, row);
  return 0;
}

void Inserter(FarWorld& world, uint32_t self) {
  Insert(world, self, 10, 0, 1);
  TellAll(world, 0);
}

void FinderOnceTold(FarWorld& world, uint32_t self) {
  world.AwaitTold(0);
  if (Find(world, self, 10) != 0) world.Say(Wrong::kMissed);
}

// Another key takes the place of the first.
void Replacer(FarWorld& world, uint32_t self) {
  const daxfs_key wanted = Key(10);
  const daxfs_pool& own = world.Own(self);
  daxfs_alias alias = {};
  if (daxfs_index_find(&own, &own.aliases, &wanted, 0, &alias) != 0) return;
  if (daxfs_index_remove(&own.aliases, &alias) == 0) Insert(world, self, 11, 1, 1);
}

Program Looker(uint64_t key) {
  return [key](FarWorld& world, uint32_t self) { Find(world, self, key); };
}

// The same row in another life, under a key.
void Reuser(FarWorld& world, uint32_t self) {
  __u64 generation = 0;
  if (daxfs_collect(&world.Own(self), world.SlotOf(self), 0) != 0) return;
  if (daxfs_row_claim(&world.Own(self), world.SlotOf(self), 0, &generation) != 0) return;
  if (daxfs_row_publish(&world.Own(self), world.SlotOf(self), 0, generation) != 0) return;
  Insert(world, self, 10, 0, generation);
  TellAll(world, 0);
}

void Flipper(FarWorld& world, uint32_t self) {
  const daxfs_key wanted = Key(5);
  const daxfs_pool& own = world.Own(self);
  daxfs_alias alias = {};
  if (daxfs_index_find(&own, &own.aliases, &wanted, 0, &alias) != 0) return;
  if (daxfs_index_flip(&own.aliases, world.SlotOf(self), &alias, daxfs_reference(1, 1)) == 0)
    daxfs_collect(&own, world.SlotOf(self), 0);
}

void FinderOfEither(FarWorld& world, uint32_t self) {
  if (Find(world, self, 5) == -ENOENT) world.Say(Wrong::kMissed);
}

// Comes back to life, takes a use, and loses its power with it.
void UserInNextLife(FarWorld& world, uint32_t self) {
  daxfs_partition_begin(&world.Own(self));
  Take(world, self);
  TellAll(world, 0);
}

// Of the host that is collecting it: who comes in between saves the object.
void CollectorTells(FarWorld& world, uint32_t self) {
  Collector(world, self);
  TellAll(world, 0);
}

void Rescuer(FarWorld& world, uint32_t self) {
  if (daxfs_use_take(&world.Own(self), world.SlotOf(self), 0, 1) == 0) TellAll(world, 1);
}

void ReaderOnceRescued(FarWorld& world, uint32_t self) {
  world.AwaitTold(1);
  ReaderOnceTold(world, self);
}

void Stater(FarWorld& world, uint32_t self) {
  world.AwaitTold(0);
  daxfs_partition_off(&world.Own(self), 1);
  TellAll(world, 1);
}

// Has stated that host 1 is off, which then comes back.
void StaterCollects(FarWorld& world, uint32_t self) {
  daxfs_partition_off(&world.Own(self), 1);
  TellAll(world, 0);
  Collector(world, self);
}

void ComesBack(FarWorld& world, uint32_t self) {
  world.AwaitTold(0);
  daxfs_partition_begin(&world.Own(self));
  Reader(world, self);
}

// Attaches and uses; loses its power somewhere. In its next life the host sweeps what memory says
// that it left, from another slot.
void UserAndHeir(FarWorld& world, uint32_t self) {
  const daxfs_pool& own = world.Own(self);
  if (world.Life(self) == 0) {
    __u64 word = 0;
    const daxfs_attacher who = {};
    if (daxfs_attach(&own, 0, &who, &word) != 0 || !Take(world, self)) return;
    world.Report(self, 0, 1);
    Drop(world, self);
    daxfs_detach(&own, 0);
  } else if (daxfs_mark_dead(&own, 0, daxfs_load(&own.slots[0])) == 0) {
    daxfs_sweep(&own, 1, 0);
  }
  TellAll(world, 0);
}

// Gives the chunk of row 0 to row 1 and leaves; loses its power somewhere. In its next life the
// host looks what there is.
void ReplacerAndHeir(FarWorld& world, uint32_t self) {
  const daxfs_pool& own = world.Own(self);
  __u64 generation = 0;
  if (world.Life(self) == 0) {
    if (daxfs_collect(&own, 0, 0) != 0 || daxfs_row_claim(&own, 0, 1, &generation) != 0 ||
        daxfs_chunk_take(&own, 0, 1, generation) != 0)
      return;
    daxfs_stored(own.role, &own.owners[0], 8, 1);
    if (daxfs_row_publish(&own, 0, 1, generation) == 0) daxfs_use_drop(&own, 0, 1);
    daxfs_detach(&own, 0);
    return;
  }
  if (daxfs_mark_dead(&own, 0, daxfs_load(&own.slots[0])) == 0) daxfs_sweep(&own, 1, 0);
  if (daxfs_use_take(&own, 1, 0, 1) != 0) return;
  if (daxfs_load(&own.owners[0]) != daxfs_reference(0, 1)) world.Say(Wrong::kBytes);
  daxfs_use_drop(&own, 1, 0);
}

std::vector<FarWorld::Spec> References() {
  return {
      {.name = "P-use-collect", .participants = {{0, 0, Collector}, {1, 0, Reader}}},
      {.name = "P-two-hosts-use-collect",
       .participants = {{0, 0, Collector}, {1, 0, Reader}, {2, 0, Reader}},
       .hosts = 3,
       .large = true},
      {.name = "P-user-loses-power",
       .participants = {{0, 0, Collector}, {1, 0, Reader}},
       .departures = {{1, Exit::kPowerOff}}},
      {.name = "P-hold-collect", .participants = {{0, 0, Collector}, {1, 0, Holder}}},
      {.name = "P-told-ready",
       .participants = {{0, 0, Builder}, {1, 0, ReaderOnceTold}},
       .ready = 0},
      {.name = "P-told-undone", .participants = {{0, 0, UserCollects}, {1, 0, ReaderOnceTold}}},
      {.name = "P-told-rescued",
       .participants = {{0, 0, CollectorTells}, {0, 1, Rescuer}, {1, 0, ReaderOnceRescued}}},
      {.name = "P-told-dropped", .participants = {{0, 0, CollectorOnceTold(0)}, {1, 0, Dropper}}},
      {.name = "P-told-detached", .participants = {{0, 0, CollectorOnceTold(0)}, {1, 0, Leaver}}},
      {.name = "P-told-unheld", .participants = {{0, 0, CollectorOnceTold(0)}, {1, 0, Holder}}},
      {.name = "P-bytes",
       .participants = {{0, 0, Rebuilder}, {1, 0, BytesReader}},
       .begin = [](FarWorld& world) { world.Bytes(0)->raw = 1; }},
      {.name = "P-off",
       .participants = {{0, 0, CollectorOnceTold(1)}, {1, 0, UserInNextLife}, {2, 0, Stater}},
       .hosts = 3,
       .begin = [](FarWorld& world) { world.SetStated(2, 1, 1); }},
      {.name = "P-user-comes-back",
       .participants = {{0, 0, CollectorOnceTold(0)}, {1, 0, UserAndHeir}},
       .lives = 2,
       .free_slots = true,
       .departures = {{1, Exit::kPowerOff}}},
      {.name = "P-builder-comes-back",
       .participants = {{0, 0, ReplacerAndHeir}, {1, 0, Reader}},
       .large = true,
       .lives = 2,
       .departures = {{0, Exit::kPowerOff}}},
      {.name = "P-comes-back", .participants = {{0, 0, StaterCollects}, {1, 0, ComesBack}}},
  };
}

std::vector<FarWorld::Spec> Aliases() {
  const auto put = [](uint64_t key) {
    return [key](FarWorld& world) { world.Put(0, key, daxfs_reference(0, 1)); };
  };
  return {
      {.name = "P-told-alias",
       .participants = {{0, 0, Inserter}, {1, 0, FinderOnceTold}},
       .aliases = 1},
      {.name = "P-row-used-again",
       .participants = {{0, 0, Replacer}, {1, 0, Looker(10)}},
       .ready = 2,
       .aliases = 1,
       .begin = put(10)},
      {.name = "P-row-used-again-new",
       .participants = {{0, 0, Replacer}, {1, 0, Looker(11)}},
       .ready = 2,
       .aliases = 1,
       .begin = put(10)},
      {.name = "P-told-next-life",
       .participants = {{0, 0, Reuser}, {1, 0, FinderOnceTold}},
       .aliases = 1},
      {.name = "P-flip-collect-read",
       .participants = {{0, 0, Flipper}, {1, 0, FinderOfEither}},
       .ready = 2,
       .aliases = 1,
       .large = true,
       .begin = put(5)},
  };
}

}  // namespace

std::vector<std::unique_ptr<World>> FarWorlds(bool large) {
  std::vector<std::unique_ptr<World>> worlds;
  for (const auto& specs : {References(), Aliases()})
    for (const FarWorld::Spec& spec : specs)
      if (large || !spec.large) worlds.push_back(std::make_unique<FarWorld>(spec));
  return worlds;
}

}  // namespace daxfs::sim
