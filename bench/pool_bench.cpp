// SPDX-License-Identifier: Apache-2.0
// Participants of one pool at work: do two builders take as long as one for twice as much, and what
// do hundreds do to each other? Each participant is one of a host of its own, in this process.
// Prints one line of JSON. Usage: pool_bench FOLDER HOSTS OPERATIONS
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/pool/building.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::bench {
extern std::atomic<std::uint64_t> swaps;
extern std::atomic<std::uint64_t> swaps_lost;
}  // namespace daxfs::bench

namespace daxfs::pool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kMiB = 1U << 20U;
constexpr int kRounds = 5;
constexpr int kObjects = 24;
constexpr std::uint64_t kObjectBytes = 4 * kMiB;

[[noreturn]] void Give(const Status& status) {
  std::fprintf(stderr, "pool_bench: %s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) Give(result.status());
  return *std::move(result);
}

std::string MakePool(const std::string& folder, std::uint64_t size) {
  const std::string path = folder + "/pool";
  std::filesystem::remove(path);
  CreateOptions options;
  options.devices = {path};
  options.slots = 512;
  options.hosts = 512;
  if (Status made = os::MakeSharedFile(path, size); !made.ok()) Give(made);
  if (Status made = CreatePool(options); !made.ok()) Give(made);
  return path;
}

std::unique_ptr<Participant> Join(const std::string& path, const std::string& folder, int host) {
  HostIdentity identity;
  identity.id[0] = static_cast<std::byte>(host);
  identity.id[1] = static_cast<std::byte>(host >> 8);
  identity.id[2] = std::byte{1};
  identity.name = "host" + std::to_string(host);
  identity.boot = 1;
  identity.run_dir = folder + "/run" + std::to_string(host);
  return Must(
      Participant::Attach(Must(Memory::Open({path}, os::Access::kWrite)), identity, "bench"));
}

Use Place(Participant& participant, std::span<const std::byte> bytes, std::uint64_t name) {
  const std::unique_ptr<Building> building = Must(participant.Begin(ObjectKind::kImage));
  if (Status status = building->Write(0, bytes); !status.ok()) Give(status);
  if (Status status = building->Seal(bytes.size()); !status.ok()) Give(status);
  return std::move(Must(building->Publish(Sha256(std::to_string(name)))).use);
}

// Seconds for `builders` to place kObjects each, all at once, into memory each has touched before.
double Build(const std::string& folder, int builders) {
  const std::string path = MakePool(folder, 256 * kMiB);
  const std::vector<std::byte> bytes(kObjectBytes, std::byte{1});
  std::vector<std::unique_ptr<Participant>> all;
  for (int i = 0; i < builders; ++i) all.push_back(Join(path, folder, i));
  for (const std::unique_ptr<Participant>& participant : all) {
    const Memory& memory = participant->memory();
    for (std::uint32_t chunk = 0; chunk < memory.info().chunk_count; ++chunk) {
      const std::span<std::byte> there = memory.Chunk(chunk);
      std::fill(there.begin(), there.end(), std::byte{0});
    }
  }
  std::vector<std::thread> threads;
  const auto started = Clock::now();
  for (int i = 0; i < builders; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < kObjects; ++n) {
        const std::uint64_t name = static_cast<std::uint64_t>(i) * 1000 + static_cast<unsigned>(n);
        static_cast<void>(Place(*all[static_cast<std::size_t>(i)], bytes, name));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return std::chrono::duration<double>(Clock::now() - started).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Churn {
  std::atomic<std::uint64_t> built{0};
  std::atomic<std::uint64_t> found{0};
  std::atomic<std::uint64_t> missed{0};
  std::atomic<std::uint64_t> collected{0};
  std::atomic<std::uint64_t> full{0};
};

std::size_t SizeOf(std::uint64_t name) {
  static constexpr std::array<std::size_t, 3> kSizes = {50000, 3 * kMiB, 9 * kMiB};
  return kSizes.at(name % kSizes.size());
}

void BuildOne(Participant& me, std::uint64_t name, std::span<const std::byte> bytes, Churn& churn) {
  const std::unique_ptr<Building> building = Must(me.Begin(ObjectKind::kImage));
  Status status = building->Write(0, bytes.first(SizeOf(name)));
  if (status.ok()) status = building->Seal(SizeOf(name));
  if (!status.ok()) {
    ++churn.full;
    churn.collected += me.Collect({.wanted_bytes = 64 * kMiB}).size();
    return;
  }
  const Building::Published published = Must(building->Publish(Sha256(std::to_string(name))));
  (published.existed ? churn.found : churn.built) += 1;
}

// What one thread does with its participants.
void Work(std::span<const std::unique_ptr<Participant>> mine, unsigned seed, int operations,
          Churn& churn) {
  std::mt19937_64 random(seed);
  const std::vector<std::byte> bytes(9 * kMiB, std::byte{2});
  for (int n = 0; n < operations; ++n) {
    Participant& me = *mine[random() % mine.size()];
    const std::uint64_t name = random() % 200;
    const auto what = random() % 20;
    if (what == 0) {
      churn.collected += me.Collect({.wanted_bytes = 16 * kMiB}).size();
      continue;
    }
    const std::optional<Use> use = Must(me.Find({AliasKind::kRoot, Sha256(std::to_string(name))}));
    (use ? churn.found : churn.missed) += 1;
    if (!use && what < 12) BuildOne(me, name, bytes, churn);
  }
}

// Milliseconds to sweep a dead participant.
double Sweep(const std::string& path, const std::string& folder, Participant& sweeper) {
  std::vector<double> sweeps;
  for (int i = 0; i < kRounds; ++i) {
    const std::unique_ptr<Participant> dies = Join(path, folder, 0);
    dies->DieForTesting();
    const auto began = Clock::now();
    if (sweeper.SweepLocal() != 1) Give(InternalError("nothing was swept"));
    sweeps.push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
  }
  return Median(sweeps);
}

// Runs of neighbouring chunks, of objects that have several: the mean.
double Fragments(const Memory& memory) {
  double runs = 0;
  double objects = 0;
  for (const ObjectView& object : ListObjects(memory)) {
    if (object.chunks < 2) continue;
    runs += object.fragments;
    objects += 1;
  }
  return objects == 0 ? 0 : runs / objects;
}

// Threads that take turns with all participants: look up, place what is missing, collect.
std::string ChurnJson(const std::string& folder, int hosts, int operations) {
  const std::string path = MakePool(folder, 512 * kMiB);
  std::vector<std::unique_ptr<Participant>> all;
  for (int i = 0; i < hosts; ++i) all.push_back(Join(path, folder, i));
  const std::size_t threads = std::max(2U, std::thread::hardware_concurrency());
  const std::size_t each = all.size() / threads;
  Churn churn;
  const std::uint64_t swaps = bench::swaps;
  const std::uint64_t lost = bench::swaps_lost;
  const auto started = Clock::now();
  std::vector<std::thread> running;
  for (std::size_t t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      Work(std::span(all).subspan(t * each, each), static_cast<unsigned>(t), operations, churn);
    });
  }
  for (std::thread& thread : running) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  const Memory& memory = all.front()->memory();
  const UsageView usage = Usage(memory);
  std::array<char, 512> text{};
  std::snprintf(
      text.data(), text.size(),
      "\"hosts\": %d, \"churn_seconds\": %.2f, \"built\": %llu, \"found\": %llu, \"missed\": %llu, "
      "\"collected\": %llu, \"full\": %llu, \"swaps\": %llu, \"swaps_lost\": %llu, \"sweep_ms\": "
      "%.2f, \"runs_per_object\": %.2f, \"free_chunks\": %u, \"largest_free_run\": %u",
      hosts, seconds, static_cast<unsigned long long>(churn.built),
      static_cast<unsigned long long>(churn.found), static_cast<unsigned long long>(churn.missed),
      static_cast<unsigned long long>(churn.collected), static_cast<unsigned long long>(churn.full),
      static_cast<unsigned long long>(bench::swaps - swaps),
      static_cast<unsigned long long>(bench::swaps_lost - lost), Sweep(path, folder, *all.front()),
      Fragments(memory), usage.chunks_free, usage.largest_free_run);
  return text.data();
}

int Main(const std::string& folder, int hosts, int operations) {
  std::vector<double> one;
  std::vector<double> two;
  for (int round = 0; round < kRounds; ++round) {
    one.push_back(Build(folder, 1));
    two.push_back(Build(folder, 2));
  }
  const double megabytes = kObjects * static_cast<double>(kObjectBytes) / 1e6;
  std::printf("{\"one_builder_mb_per_s\": %.0f, \"two_builders_mb_per_s\": %.0f, %s}\n",
              megabytes / Median(one), 2 * megabytes / Median(two),
              ChurnJson(folder, hosts, operations).c_str());
  return 0;
}

}  // namespace
}  // namespace daxfs::pool

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  return daxfs::pool::Main(argv[1], std::atoi(argv[2]), std::atoi(argv[3]));
}
