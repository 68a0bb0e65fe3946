// SPDX-License-Identifier: Apache-2.0
// What participants do in more than one room of worlds.
#pragma once

#include "pool_world.hpp"

namespace daxfs::sim {

using Program = PoolWorld::Program;

inline const std::vector<Departure> kDies = {{0, Exit::kDies}};

inline Program Reader() {
  return [](PoolWorld& world, uint32_t self) { world.Use(self, 1); };
}

inline Program Collector(int times = 1, uint32_t row = 0) {
  return [times, row](PoolWorld& world, uint32_t self) {
    for (int i = 0; i < times; ++i) daxfs_collect(&world.pool(), self, row);
  };
}

inline Program Builder(uint32_t chunk = 0) {
  return [chunk](PoolWorld& world, uint32_t self) {
    world.AwaitRow(DAXFS_ROW_FREE);
    world.Build(self, chunk);
  };
}

inline Program Sweeper(uint32_t dead, bool collects = false) {
  return [dead, collects](PoolWorld& world, uint32_t self) {
    world.AwaitSlot(dead, DAXFS_SLOT_DEAD);
    daxfs_sweep(&world.pool(), self, dead);
    if (collects) daxfs_collect(&world.pool(), self, 0);
  };
}

}  // namespace daxfs::sim
