// SPDX-License-Identifier: Apache-2.0
// Mutated images against core under the sanitizers: hostile_run --help. Exit status 0: all were
// survived; 1: too few were read at all, or a failure of its own; 2: usage; 3: core was caught.
//
// Inputs are walked in child processes. What a child is at stands in memory it shares with its
// parent, so that a sanitizer's report, a crash or an endless loop still has an input's number.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <new>
#include <system_error>

#include "mutator.hpp"
#include "testing/walk.hpp"

namespace daxfs::hostile {
namespace {

using core_testing::Level;
using core_testing::WalkResult;

constexpr int kCaught = 3;
constexpr unsigned kSecondsPerInput = 30;  // some hundred times what the slowest takes
constexpr size_t kLevels = static_cast<size_t>(Level::kNone) + 1;
constexpr uint64_t kMaxInodes = 1000, kMaxBytes = 1 << 20;

struct Options {
  uint64_t seed = 1;
  uint64_t count = 100000;
  int64_t replay = -1;
  std::string save;
  std::vector<std::string> folders;
  unsigned jobs = 1;
  unsigned least_opened_percent = 30;
  // For a kernel that mounts them: in shared memory, each at a boundary of a chunk.
  std::string memory;
  uint64_t offset = 0, bytes = 0, first = 0;
  unsigned poke_seconds = 0;
};

// What the children have done; one a child, in shared memory.
struct Tally {
  uint64_t index = 0;  // being walked
  uint64_t inputs = 0;
  uint64_t sealed = 0, rooted = 0, live = 0;
  uint64_t calls = 0;
  std::array<uint64_t, kLevels> refused = {};
};

// Bytes with nothing behind them: the sanitizer's forbidden zone begins at the very next one.
struct Exact {
  explicit Exact(const Bytes& from) : size(from.size()) {
    if (posix_memalign(&bytes, DAXFS_BLOCK_SIZE, size) != 0) throw std::bad_alloc();
    std::memcpy(bytes, from.data(), size);
  }
  ~Exact() { std::free(bytes); }
  Exact(const Exact&) = delete;
  Exact& operator=(const Exact&) = delete;

  void* bytes = nullptr;
  size_t size;
};

// Another host that writes: before one call in eight some bytes change. The changes are worked out
// on a copy, which knows nothing of the exact allocation.
class OtherHost {
 public:
  OtherHost(Exact& image, const Bytes& bytes, uint64_t seed)
      : image_(image), copy_(bytes), random_(seed) {}

  void operator()() {
    if (!random_.OneIn(8)) return;
    Mutator::Poke(copy_, random_);
    std::memcpy(image_.bytes, copy_.data(), image_.size);
  }

 private:
  Exact& image_;
  Bytes copy_;
  Random random_;
};

WalkResult WalkOne(const Mutated& input, uint64_t index) {
  Exact image(input.bytes);
  if (!input.live || input.bytes.size() > 65536)
    return core_testing::Walk(image.bytes, image.size, kMaxInodes, kMaxBytes);
  OtherHost other(image, input.bytes, index);
  return core_testing::Walk(image.bytes, image.size, kMaxInodes, kMaxBytes, [&other] { other(); });
}

// Walks inputs `first`, `first` + `step`, ...; its own process, which ends with the result.
[[noreturn]] void Child(const Mutator& mutator, const Options& options, unsigned first,
                        Tally& tally) {
  for (uint64_t index = first; index < options.count; index += options.jobs) {
    tally.index = index;
    alarm(kSecondsPerInput);
    const Mutated input = mutator.Make(index);
    const WalkResult result = WalkOne(input, index);
    if (!result.violation.empty()) {
      std::fprintf(stderr, "hostile: wrong answer: %s\n", result.violation.c_str());
      std::_Exit(kCaught);
    }
    ++tally.inputs;
    tally.sealed += input.seal != Seal::kNone ? 1 : 0;
    tally.rooted += input.seal == Seal::kRoot ? 1 : 0;
    tally.live += input.live ? 1 : 0;
    tally.calls += result.calls;
    ++tally.refused[static_cast<size_t>(result.refused)];
  }
  std::fflush(nullptr);
  std::_Exit(0);
}

int Replay(const Mutator& mutator, const Options& options) {
  const auto index = static_cast<uint64_t>(options.replay);
  const Mutated input = mutator.Make(index);
  std::fprintf(stderr, "hostile: seed %llu, input %llu: from %s: %s; %zu bytes%s%s\n",
               static_cast<unsigned long long>(options.seed),
               static_cast<unsigned long long>(index), input.from.c_str(), input.story.c_str(),
               input.bytes.size(), input.seal == Seal::kNone ? "" : ", sealed",
               input.live ? ", changing while it is read" : "");
  if (!options.save.empty())
    std::ofstream(options.save, std::ios::binary)
        .write(reinterpret_cast<const char*>(input.bytes.data()),
               static_cast<std::streamsize>(input.bytes.size()));
  const WalkResult result = WalkOne(input, index);
  std::fprintf(stderr, "hostile: error %d at level %s: %s\n", result.error,
               core_testing::NameOf(result.refused), result.why.c_str());
  if (result.violation.empty()) return 0;
  std::fprintf(stderr, "hostile: wrong answer: %s\n", result.violation.c_str());
  return kCaught;
}

// A piece of shared memory that others have mapped, and chunks in it.
class Memory {
 public:
  explicit Memory(const Options& options) : size_(options.bytes) {
    const int file = open(options.memory.c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0) throw std::system_error(errno, std::generic_category(), options.memory);
    bytes_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file,
                  static_cast<off_t>(options.offset));
    close(file);
    if (bytes_ == MAP_FAILED)
      throw std::system_error(errno, std::generic_category(), options.memory);
  }
  ~Memory() { munmap(bytes_, size_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  static uint64_t ChunksOf(const Bytes& image) {
    return (std::max<uint64_t>(image.size(), 1) + DAXFS_CHUNK_SIZE - 1) / DAXFS_CHUNK_SIZE *
           DAXFS_CHUNK_SIZE;
  }
  // Behind the image come zeros, to the end of its last chunk; false: there is no room.
  bool Put(uint64_t at, const Bytes& image) {
    if (ChunksOf(image) > size_ - at) return false;
    std::memcpy(At(at), image.data(), image.size());
    std::memset(At(at + image.size()), 0, ChunksOf(image) - image.size());
    return true;
  }
  uint8_t* At(uint64_t at) { return static_cast<uint8_t*>(bytes_) + at; }
  uint64_t size() const { return size_; }

 private:
  void* bytes_ = nullptr;
  uint64_t size_;
};

// Inputs from number `first` on, as many as `count` or there is room for; a line each:
// number, offset and bytes of its place, whether it is one that is to change while it is read.
int Place(const Mutator& mutator, const Options& options) {
  Memory memory(options);
  uint64_t at = 0;
  for (uint64_t index = options.first; index < options.first + options.count; ++index) {
    const Mutated input = mutator.Make(index);
    if (!memory.Put(at, input.bytes)) break;
    std::printf("%llu %llu %llu %d\n", static_cast<unsigned long long>(index),
                static_cast<unsigned long long>(options.offset + at),
                static_cast<unsigned long long>(Memory::ChunksOf(input.bytes)), input.live ? 1 : 0);
    at += Memory::ChunksOf(input.bytes);
  }
  return 0;
}

// What a misbehaving host does: images that were good change all the time, and are good again now
// and then. A line for each before it begins, as Place() has it.
int Poke(const std::vector<SeedImage>& seeds, const Options& options) {
  Memory memory(options);
  std::vector<uint64_t> places;
  std::vector<const SeedImage*> placed;
  uint64_t at = 0;
  for (size_t i = options.first; i < seeds.size(); ++i) {
    // What would be refused untouched says nothing about changing.
    const Exact exact(seeds[i].bytes);
    const WalkResult good = core_testing::Walk(exact.bytes, exact.size, kMaxInodes, kMaxBytes);
    if (good.error != 0 || !memory.Put(at, seeds[i].bytes)) continue;
    std::printf("%zu %llu %llu 1\n", i, static_cast<unsigned long long>(options.offset + at),
                static_cast<unsigned long long>(Memory::ChunksOf(seeds[i].bytes)));
    places.push_back(at);
    placed.push_back(&seeds[i]);
    at += Memory::ChunksOf(seeds[i].bytes);
  }
  std::printf("placed\n");
  std::fflush(stdout);
  Random random(options.seed);
  uint64_t changes = 0;
  const std::time_t end = std::time(nullptr) + options.poke_seconds;
  while (std::time(nullptr) < end) {
    const uint64_t which = random.Below(placed.size());
    Bytes copy = placed[which]->bytes;
    if (!random.OneIn(4))
      for (uint64_t i = random.Below(8) + 1; i > 0; --i, ++changes) Mutator::Poke(copy, random);
    std::memcpy(memory.At(places[which]), copy.data(), copy.size());
  }
  std::printf("changes %llu\n", static_cast<unsigned long long>(changes));
  return 0;
}

// Appends a line of figures where scripts/target looks for them.
void Report(const Tally& sum, const Options& options) {
  std::string line = "{\"hostile_inputs\": " + std::to_string(sum.inputs) +
                     ", \"hostile_seed\": " + std::to_string(options.seed);
  for (size_t level = 0; level < kLevels; ++level)
    line += std::string(", \"hostile_") +
            (level + 1 == kLevels
                 ? "walked_whole"
                 : std::string("refused_") + core_testing::NameOf(static_cast<Level>(level))) +
            "\": " + std::to_string(sum.refused[level]);
  line += ", \"hostile_sealed\": " + std::to_string(sum.sealed) +
          ", \"hostile_root_sealed\": " + std::to_string(sum.rooted) +
          ", \"hostile_changed_while_read\": " + std::to_string(sum.live) +
          ", \"hostile_core_calls\": " + std::to_string(sum.calls) + "}\n";
  std::fputs(line.c_str(), stderr);
  if (const char* path = std::getenv("DAXFS_FIGURES")) std::ofstream(path, std::ios::app) << line;
}

int Judge(const Tally& sum, const Options& options) {
  Report(sum, options);
  const uint64_t not_opened = sum.refused[static_cast<size_t>(Level::kSuperblock)] +
                              sum.refused[static_cast<size_t>(Level::kSections)];
  const uint64_t opened = sum.inputs - not_opened;
  if (sum.inputs != options.count || opened * 100 < sum.inputs * options.least_opened_percent) {
    std::fprintf(stderr, "hostile: %llu of %llu inputs were opened, at least %u %% are wanted\n",
                 static_cast<unsigned long long>(opened),
                 static_cast<unsigned long long>(options.count), options.least_opened_percent);
    return 1;
  }
  if (sum.sealed * 2 < sum.inputs) {
    std::fprintf(stderr, "hostile: fewer than half of the inputs were sealed\n");
    return 1;
  }
  return 0;
}

// Waits for all children; the number of the first input that ended one, or -1.
int64_t Wait(const std::vector<pid_t>& children, const Tally* tallies) {
  int64_t caught = -1;
  for (size_t i = 0; i < children.size(); ++i) {
    int status = 0;
    while (waitpid(children[i], &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    const auto index = static_cast<int64_t>(tallies[i].index);
    if (WIFSIGNALED(status))
      std::fprintf(stderr, "hostile: input %lld: %s\n", static_cast<long long>(index),
                   WTERMSIG(status) == SIGALRM ? "does not end" : strsignal(WTERMSIG(status)));
    caught = caught < 0 ? index : std::min(caught, index);
  }
  return caught;
}

int Run(const Mutator& mutator, const Options& options) {
  void* shared = mmap(nullptr, options.jobs * sizeof(Tally), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  auto* tallies = new (shared) Tally[options.jobs];
  std::vector<pid_t> children;
  for (unsigned job = 0; job < options.jobs; ++job) {
    const pid_t pid = fork();
    if (pid < 0) return 1;
    if (pid == 0) Child(mutator, options, job, tallies[job]);
    children.push_back(pid);
  }
  const int64_t caught = Wait(children, tallies);
  if (caught >= 0) {
    std::fprintf(stderr, "hostile: caught at input %lld; again: --seed %llu --replay %lld\n",
                 static_cast<long long>(caught), static_cast<unsigned long long>(options.seed),
                 static_cast<long long>(caught));
    return kCaught;
  }
  Tally sum;
  for (unsigned job = 0; job < options.jobs; ++job) {
    sum.inputs += tallies[job].inputs;
    sum.sealed += tallies[job].sealed;
    sum.rooted += tallies[job].rooted;
    sum.live += tallies[job].live;
    sum.calls += tallies[job].calls;
    for (size_t level = 0; level < kLevels; ++level)
      sum.refused[level] += tallies[job].refused[level];
  }
  return Judge(sum, options);
}

std::string IsChunk(const std::string& text) {
  return std::strtoull(text.c_str(), nullptr, 0) % DAXFS_CHUNK_SIZE == 0 ? "" : "not a multiple";
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Walks mutated images through every function of core.", "hostile_run");
  app.add_option("--seed", options.seed, "numbers the runs; the same seed gives the same inputs");
  app.add_option("--count", options.count, "inputs");
  app.add_option("--replay", options.replay, "only this input; says what it is");
  app.add_option("--save", options.save, "with --replay: a file for its bytes");
  app.add_option("--images", options.folders, "folders of images to start from, beside own ones");
  app.add_option("--jobs", options.jobs, "processes")->check(CLI::Range(1, 64));
  app.add_option("--place", options.memory, "a file of shared memory that inputs are put into");
  app.add_option("--offset", options.offset, "with --place: where to begin")
      ->check(CLI::Validator(IsChunk, "multiple of 2 MiB"));
  app.add_option("--bytes", options.bytes, "with --place: how much of it");
  app.add_option("--first", options.first, "with --place: number of the first input");
  app.add_option("--poke", options.poke_seconds,
                 "with --place: put the images themselves, and change them for so many seconds");
  app.add_option("--least-opened", options.least_opened_percent,
                 "percent of inputs that core opens");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::vector<SeedImage> images = HandMade();
  for (const std::string& folder : options.folders) {
    const std::vector<SeedImage> more = Folder(folder);
    if (more.empty()) {
      std::fprintf(stderr, "hostile: no images in %s\n", folder.c_str());
      return 1;
    }
    images.insert(images.end(), more.begin(), more.end());
  }
  std::fprintf(stderr, "hostile: seed %llu, %zu images to start from\n",
               static_cast<unsigned long long>(options.seed), images.size());
  if (options.poke_seconds > 0) return Poke(images, options);
  const Mutator mutator(std::move(images), options.seed);
  if (!options.memory.empty()) return Place(mutator, options);
  return options.replay >= 0 ? Replay(mutator, options) : Run(mutator, options);
}

}  // namespace
}  // namespace daxfs::hostile

int main(int argc, char** argv) { return daxfs::hostile::Main(argc, argv); }
