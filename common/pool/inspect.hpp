// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/pool/memory.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {

// What people and tools see of a pool: snapshots, each part true at some moment. Nothing here
// changes it.

// Whether what a hold or an alias names is there, in whichever partition; and what an owner word of
// this partition names. What names no row is not.
bool TargetLives(const Memory& memory, std::uint64_t target);
bool OwnerLives(const Memory& memory, std::uint64_t owner);

enum class RowState { kFree, kBuilding, kReady, kDying, kReclaiming, kUnknown };
const char* RowStateName(RowState state);

struct ObjectView {
  Ref ref;
  RowState state = RowState::kFree;
  std::uint32_t slot = 0;  // of who builds or collects it
  std::uint32_t kind = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t pool_bytes = 0;
  std::uint64_t progress_bytes = 0;
  std::uint64_t created = 0;  // seconds since 1970
  std::uint64_t used = 0;
  Digest digest{};
  std::uint32_t chunks = 0;
  std::uint32_t granules = 0;
  std::uint32_t fragments = 0;  // runs of neighbouring chunks
  std::uint32_t uses = 0;
  std::uint32_t holds = 0;
  std::vector<std::string> names;
};
const char* ObjectKindName(std::uint32_t kind);

// All rows that are not free, by row.
std::vector<ObjectView> ListObjects(const Memory& memory);

// What was lost to others, by enum daxfs_contention.
using Contention = std::array<std::uint64_t, DAXFS_CONTENTION_COUNT>;
const char* ContentionName(std::size_t number);

struct SlotView {
  std::uint32_t slot = 0;
  const char* state = "";
  std::uint32_t host = 0;
  bool kernel = false;
  std::uint32_t pid = 0;
  std::string name;
  std::uint64_t started = 0;
  std::uint64_t heartbeat = 0;
  std::uint32_t uses = 0;
  Contention contention{};
};
// All that are not free.
std::vector<SlotView> ListSlots(const Memory& memory);

struct HostView {
  std::uint32_t host = 0;  // of a partitioned pool the number of its partition
  std::uint64_t key = 0;   // its word: that of another, who has the number later, differs
  bool leaving = false;    // somebody has begun to state that it is off, and has not ended
  Uuid id{};
  std::string name;
  std::uint64_t heartbeat = 0;  // seconds since 1970, its own clock
  std::uint32_t participants = 0;
  std::uint32_t holds = 0;
  Contention contention{};  // of all its participants, also those that have gone
};
std::vector<HostView> ListHosts(const Memory& memory);

// The same of a partitioned pool, numbered by partition; its hosts are those it was made for,
// whether they were ever there or not.
std::vector<HostView> ListAllHosts(const Memory& memory);

struct HoldView {
  std::uint32_t host = 0;
  std::uint32_t kind = 0;
  std::string name;
  Ref ref;
  std::uint64_t target = 0;  // the same as in memory
  std::uint64_t created = 0;
};
const char* HoldKindName(std::uint32_t kind);
std::vector<HoldView> ListHolds(const Memory& memory);

struct NameView {
  std::string name;
  Ref ref;
};
// Those that point to an object that lives.
std::vector<NameView> ListNames(const Memory& memory);

// How much of what there is. Chunks of 2 MiB, bytes.
struct UsageView {
  std::uint32_t chunks = 0;         // that are there
  std::uint32_t chunks_absent = 0;  // that it may have one day
  std::uint32_t chunks_free = 0;
  std::uint32_t chunks_split = 0;   // hold granules
  std::uint32_t chunks_orphan = 0;  // of a life that is over: free for whoever takes them
  std::uint32_t chunks_damaged = 0;
  std::uint32_t granules_used = 0;
  std::uint32_t granules_orphan = 0;
  std::uint32_t largest_free_run = 0;  // chunks
  std::uint32_t rows_used = 0;
  std::uint32_t aliases_used = 0;
  std::uint32_t aliases_stale = 0;
  std::uint32_t holds_used = 0;
  std::uint64_t collectable_bytes = 0;
  std::uint32_t collectable_objects = 0;
};
UsageView Usage(const Memory& memory);
// For messages: what `daxfsctl pool gc` would free.
std::string WhatCouldGo(const UsageView& usage);

}  // namespace daxfs::pool
