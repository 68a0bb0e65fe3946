// SPDX-License-Identifier: Apache-2.0
// Schedulers over a Machine: every interleaving of a small world, or many by chance; and the replay
// of one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "simulator.hpp"

namespace daxfs::sim {

using Path = std::vector<uint32_t>;  // indexes into Machine::Choices(), from the start

struct Failure {
  std::string what;
  Path path;
  uint64_t seed = 0;  // Sample only: Sample(world, memory, seed, 1) fails again
};

struct Report {
  uint64_t schedules = 0;  // runs from the start
  uint64_t states = 0;     // distinct ones (Explore), steps taken (Sample)
  bool complete = false;   // Explore: nothing was left out
  std::optional<Failure> failure;
};

struct Limits {
  uint64_t states = 4000000;
  uint32_t steps = 2000;  // a run longer than that is a failure: it does not end
};

// Depth-first over all choices. Going back is starting again and replaying; a state met before, by
// its hash, is not entered twice. Stops at the first failure.
Report Explore(World& world, Memory memory, const Limits& limits = {});

// `count` runs whose choices come from seed, seed + 1, ...; stops at the first failure.
Report Sample(World& world, Memory memory, uint64_t seed, uint64_t count,
              const Limits& limits = {});

// One run along `path`, and what it printed: a line a step, the failure last.
std::string Trace(World& world, Memory memory, const Path& path);

// "3.0.1", and back; nullopt for anything else.
std::string PathText(const Path& path);
std::optional<Path> ParsePath(const std::string& text);

}  // namespace daxfs::sim
