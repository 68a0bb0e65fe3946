// SPDX-License-Identifier: Apache-2.0
// Runs one world of the simulator, one schedule of it, or all of them (--all): sim_run --help. Exit
// status 0: nothing was wrong; 1: a failure, with the command that replays it; 2: usage.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "explore.hpp"
#include "litmus.hpp"
#include "pool_world.hpp"

namespace daxfs::sim {
namespace {

struct Options {
  std::string world, memory = "weak", path, without;
  uint64_t seed = 0, count = 1;
  bool trace = false, all = false;
  Limits limits;
};

Memory MemoryOf(const std::string& name) {
  if (name == "sc") return Memory::kSc;
  if (name == "apart") return Memory::kApart;
  return name == "tso" ? Memory::kTso : Memory::kWeak;
}

std::vector<std::unique_ptr<World>> Worlds() {
  auto worlds = AllLitmus();
  for (auto& world : PoolWorlds(true)) worlds.push_back(std::move(world));
  return worlds;
}

int Tell(const Options& options, World& world, const Report& report, bool by_seed) {
  std::printf("%s %s: %llu schedules, %llu %s%s\n", options.world.c_str(), options.memory.c_str(),
              static_cast<unsigned long long>(report.schedules),
              static_cast<unsigned long long>(report.states), by_seed ? "steps" : "states",
              by_seed || report.complete || report.failure ? "" : ", not all");
  if (!report.failure) return 0;
  if (options.trace)
    std::printf("%s", Trace(world, MemoryOf(options.memory), report.failure->path).c_str());
  std::printf("failure: %s\n", report.failure->what.c_str());
  std::printf("replay: sim_run --world %s --memory %s --trace %s%s ", options.world.c_str(),
              options.memory.c_str(), options.without.empty() ? "" : "--without ",
              options.without.c_str());
  if (by_seed)
    std::printf("--seed %llu\n", static_cast<unsigned long long>(report.failure->seed));
  else
    std::printf("--path %s\n", PathText(report.failure->path).c_str());
  return 1;
}

struct Totals {
  unsigned long long states = 0, schedules = 0, worlds = 0, incomplete = 0, found = 0, failures = 0;
};

// One world in one memory: all interleavings up to the limit, then some by chance, ten times as
// many where that is all.
void RunWhole(Options options, World& world, Memory memory, Totals& totals) {
  options.world = world.Name();
  options.memory = MemoryName(memory);
  Report all;
  all.complete = world.Endless();
  if (!world.Endless()) all = Explore(world, memory, options.limits);
  const uint64_t count = world.Endless() ? options.count * 10 : options.count;
  const Report some = Sample(world, memory, options.seed, count, options.limits);
  if (!world.Endless() && Tell(options, world, all, false) != 0) ++totals.failures;
  if (Tell(options, world, some, true) != 0) ++totals.failures;
  totals.states += all.states;
  totals.schedules += all.schedules + some.schedules;
  totals.incomplete += !all.complete;
  ++totals.worlds;
  std::fflush(stdout);
}

// Every world of the pool, then every rule left out in the world that needs it.
int RunAll(Options options) {
  Totals totals;
  options.seed = std::max<uint64_t>(options.seed, 1);
  for (const auto& world : PoolWorlds(true))
    for (Memory memory : world->Memories()) RunWhole(options, *world, memory, totals);
  for (const Removal& removal : Removals()) {
    daxfs_sim_rules_left_out = removal.rules;
    for (const auto& world : PoolWorlds(true)) {
      if (world->Name() != removal.world) continue;
      const Report report = Explore(*world, removal.memory, options.limits);
      std::printf("without %s: %s %s: %s\n", removal.name, removal.world,
                  MemoryName(removal.memory),
                  report.failure ? report.failure->what.c_str() : "nothing is wrong");
      totals.found += report.failure.has_value();
    }
  }
  const char* figures = std::getenv("DAXFS_FIGURES");
  if (std::FILE* out = figures ? std::fopen(figures, "a") : nullptr; out != nullptr) {
    std::fprintf(
        out,
        "{\"sim_worlds\": %llu, \"sim_states\": %llu, \"sim_schedules\": %llu, "
        "\"sim_worlds_cut_short\": "
        "%llu, \"sim_failures\": %llu, \"sim_rules_left_out\": %zu, \"sim_rules_missed\": %llu}\n",
        totals.worlds, totals.states, totals.schedules, totals.incomplete, totals.failures,
        Removals().size(), Removals().size() - totals.found);
    std::fclose(out);
  }
  return totals.failures == 0 && totals.found == Removals().size() ? 0 : 1;
}

int Run(const Options& options) {
  if (options.all) return RunAll(options);
  for (const Removal& removal : Removals())
    if (options.without == removal.name) daxfs_sim_rules_left_out = removal.rules;
  if (!options.without.empty() && daxfs_sim_rules_left_out == 0) {
    std::fprintf(stderr, "sim_run: no rule '%s'; docs/pool.md names them\n",
                 options.without.c_str());
    return 2;
  }
  for (const auto& world : Worlds()) {
    if (world->Name() != options.world) continue;
    const Memory memory = MemoryOf(options.memory);
    if (!options.path.empty()) {
      const std::string trace = Trace(*world, memory, *ParsePath(options.path));
      std::printf("%s", trace.c_str());
      return trace.ends_with("nothing is wrong\n") ? 0 : 1;
    }
    if (options.seed != 0)
      return Tell(options, *world,
                  Sample(*world, memory, options.seed, options.count, options.limits), true);
    return Tell(options, *world, Explore(*world, memory, options.limits), false);
  }
  std::fprintf(stderr, "sim_run: no world '%s'; --list names them\n", options.world.c_str());
  return 2;
}

}  // namespace
}  // namespace daxfs::sim

int main(int argc, char** argv) {
  using namespace daxfs::sim;
  Options options;
  bool list = false;
  CLI::App app("Runs one world: all interleavings, or --count by chance from --seed.");
  app.add_flag("--list", list, "name the worlds");
  app.add_option("--world", options.world, "which one");
  app.add_option("--memory", options.memory, "sc, tso, weak or apart")
      ->check(CLI::IsMember({"sc", "tso", "weak", "apart"}));
  app.add_option("--seed", options.seed, "by chance, from this seed on")
      ->check(CLI::PositiveNumber);
  app.add_option("--count", options.count, "schedules from --seed on");
  app.add_option("--path", options.path, "one schedule, as a failure printed it")
      ->check(
          [](const std::string& text) { return ParsePath(text) ? "" : "not a path like 3.0.1"; });
  app.add_option("--states", options.limits.states, "states after which to give up");
  app.add_option("--without", options.without, "leave a rule of the pool out");
  app.add_flag("--all", options.all,
               "every world of the pool in every memory, and every rule left out");
  app.add_flag("--trace", options.trace, "print a failure's steps");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!list) return Run(options);
  for (const auto& world : Worlds()) std::printf("%s\n", world->Name().c_str());
  return 0;
}
