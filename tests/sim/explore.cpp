// SPDX-License-Identifier: Apache-2.0
#include "explore.hpp"

#include <charconv>
#include <random>
#include <unordered_set>

namespace daxfs::sim {
namespace {

// A number below `bound`; the same on every machine, which std::uniform_int_distribution is not.
uint32_t Below(std::mt19937_64& random, size_t bound) {
  return static_cast<uint32_t>(random() % bound);
}

// Departures are rare, or nobody would ever get far.
uint32_t Pick(std::mt19937_64& random, const std::vector<Choice>& choices) {
  for (int tries = 0; tries < 8; ++tries) {
    const uint32_t index = Below(random, choices.size());
    if (choices[index].kind != Choice::Kind::kExit || Below(random, 8) == 0) return index;
  }
  return 0;
}

// "" or what is wrong with the state the machine is in.
std::string Judge(World& world, const Machine& machine) {
  std::string what = world.Always();
  if (what.empty() && machine.Ended()) what = world.AtEnd();
  return what;
}

struct Branch {
  uint32_t taken;
  uint32_t choices;
};

Path Taken(const std::vector<Branch>& branches) {
  Path path;
  for (const Branch& branch : branches) path.push_back(branch.taken);
  return path;
}

// The next path in order: the deepest branch with a choice left takes it. False: there is none.
bool Advance(std::vector<Branch>& branches) {
  while (!branches.empty() && branches.back().taken + 1 == branches.back().choices)
    branches.pop_back();
  if (branches.empty()) return false;
  ++branches.back().taken;
  return true;
}

}  // namespace

Report Explore(World& world, Memory memory, const Limits& limits) {
  Machine machine(world, memory);
  std::unordered_set<uint64_t> seen;
  std::vector<Branch> branches;
  Report report;
  do {
    ++report.schedules;
    machine.Start(false);
    for (const Branch& branch : branches) machine.Take(branch.taken);
    for (;;) {
      std::string what = Judge(world, machine);
      if (what.empty() && branches.size() > limits.steps) what = "does not end";
      if (!what.empty()) {
        report.failure = Failure{std::move(what), Taken(branches)};
        return report;
      }
      if (!seen.insert(machine.Hash()).second) break;
      if (++report.states >= limits.states) return report;
      if (machine.Ended()) break;
      branches.push_back({0, static_cast<uint32_t>(machine.Choices().size())});
      machine.Take(0);
    }
  } while (Advance(branches));
  report.complete = true;
  return report;
}

Report Sample(World& world, Memory memory, uint64_t seed, uint64_t count, const Limits& limits) {
  Machine machine(world, memory);
  Report report;
  for (uint64_t run = 0; run < count; ++run) {
    ++report.schedules;
    std::mt19937_64 random(seed + run);
    Path path;
    machine.Start(false);
    for (;;) {
      std::string what = Judge(world, machine);
      if (what.empty() && path.size() > limits.steps) what = "does not end";
      if (!what.empty()) {
        report.failure = Failure{std::move(what), std::move(path), seed + run};
        return report;
      }
      if (machine.Ended()) break;
      path.push_back(Pick(random, machine.Choices()));
      machine.Take(path.back());
      ++report.states;
    }
  }
  return report;
}

std::string Trace(World& world, Memory memory, const Path& path) {
  Machine machine(world, memory);
  machine.Start(true);
  for (uint32_t choice : path) {
    if (choice >= machine.Choices().size()) return machine.trace() + "no such choice\n";
    machine.Take(choice);
  }
  const std::string what = Judge(world, machine);
  return machine.trace() + (what.empty() ? "nothing is wrong\n" : what + "\n");
}

std::string PathText(const Path& path) {
  std::string text;
  for (uint32_t choice : path) text += (text.empty() ? "" : ".") + std::to_string(choice);
  return text;
}

std::optional<Path> ParsePath(const std::string& text) {
  Path path;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    uint32_t choice = 0;
    const auto [next, error] = std::from_chars(at, end, choice);
    if (error != std::errc() || (next < end && (*next != '.' || next + 1 == end)))
      return std::nullopt;
    path.push_back(choice);
    at = next < end ? next + 1 : next;
  }
  return path;
}

}  // namespace daxfs::sim
