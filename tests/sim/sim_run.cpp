// SPDX-License-Identifier: Apache-2.0
// Runs one world of the simulator, or one schedule of it: sim_run --help. Exit status 0: nothing
// was wrong; 1: a failure, with the command that replays it; 2: usage.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "explore.hpp"
#include "litmus.hpp"

namespace daxfs::sim {
namespace {

struct Options {
  std::string world, memory = "weak", path;
  uint64_t seed = 0, count = 1;
  bool trace = false;
  Limits limits;
};

Memory MemoryOf(const std::string& name) {
  if (name == "sc") return Memory::kSc;
  return name == "tso" ? Memory::kTso : Memory::kWeak;
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
  std::printf("replay: sim_run --world %s --memory %s --trace ", options.world.c_str(),
              options.memory.c_str());
  if (by_seed)
    std::printf("--seed %llu\n", static_cast<unsigned long long>(report.failure->seed));
  else
    std::printf("--path %s\n", PathText(report.failure->path).c_str());
  return 1;
}

int Run(const Options& options) {
  for (const auto& world : AllLitmus()) {
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
  app.add_option("--memory", options.memory, "sc, tso or weak")
      ->check(CLI::IsMember({"sc", "tso", "weak"}));
  app.add_option("--seed", options.seed, "by chance, from this seed on")
      ->check(CLI::PositiveNumber);
  app.add_option("--count", options.count, "schedules from --seed on");
  app.add_option("--path", options.path, "one schedule, as a failure printed it")
      ->check(
          [](const std::string& text) { return ParsePath(text) ? "" : "not a path like 3.0.1"; });
  app.add_option("--states", options.limits.states, "states after which to give up");
  app.add_flag("--trace", options.trace, "print a failure's steps");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!list) return Run(options);
  for (const auto& world : AllLitmus()) std::printf("%s\n", world->Name().c_str());
  return 0;
}
