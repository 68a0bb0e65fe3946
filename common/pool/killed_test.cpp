// SPDX-License-Identifier: Apache-2.0
// A participant is killed before each of its steps on shared memory, one after the other: nothing
// half-made is ever seen, the next process of its host has all memory back at once, and a process
// of another host only behind a fence.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "common/os/testing/scratch.hpp"
#include "common/pool/building.hpp"
#include "common/pool/check.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/obtain.hpp"
#include "common/pool/participant.hpp"
#include "common/pool/resize.hpp"
#include "common/pool/view.hpp"

namespace daxfs::pool {
namespace testing {
extern std::int64_t steps_left;
extern std::function<void(daxfs_word*)> other;
}  // namespace testing

namespace {

constexpr std::uint64_t kMiB = 1U << 20U;
constexpr int kKilledStatus = 77;
constexpr unsigned kLocal = 1;
constexpr unsigned kRemote = 2;

std::vector<std::byte> Bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + i / 4096);
  return bytes;
}

Key Layer(std::size_t size) { return {AliasKind::kDiffId, Sha256(std::to_string(size))}; }

class Killed : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = scratch_.path() + "/pool";
    ASSERT_TRUE(os::MakeSharedFile(path_, 24 * kMiB).ok());
    CreateOptions options;
    options.devices = {path_};
    options.rows = 64;
    ASSERT_TRUE(CreatePool(options).ok());
  }

  std::unique_ptr<Participant> Attach(unsigned host) {
    HostIdentity identity;
    identity.id.fill(static_cast<std::byte>(host));
    identity.name = "host";
    identity.boot = 7;
    identity.run_dir = scratch_.path() + "/run" + std::to_string(host);
    Result<std::unique_ptr<Memory>> memory = Memory::Open({path_}, os::Access::kWrite);
    EXPECT_TRUE(memory.ok()) << memory.status().ToString();
    Result<std::unique_ptr<Participant>> joined =
        Participant::Attach(*std::move(memory), identity, "killed_test");
    EXPECT_TRUE(joined.ok()) << joined.status().ToString();
    return *std::move(joined);
  }

  // Attaches and places an object of that size with a name and a hold, unless it dies before.
  static void Work(Participant& me, std::size_t size) {
    const std::vector<std::byte> bytes = Bytes(size);
    const Build build = [&](Building& building) -> Result<Digest> {
      RETURN_IF_ERROR(building.Write(0, bytes));
      RETURN_IF_ERROR(building.Seal(bytes.size()));
      return Sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    };
    const Result<Obtained> made = Obtain(me, Layer(size), build);
    if (!made.ok()) _exit(1);
    if (!me.Hold(made->use, HoldKind::kAdmin, "n").ok()) _exit(2);
    if (!me.SetName(made->use, "n").ok()) _exit(3);
    if (!me.RemoveName("n").ok() || !me.DropHold(HoldKind::kAdmin, "n").ok()) _exit(4);
  }

  // A process that dies before its step `step`. Whether it did; if not it has finished.
  bool DiesAt(unsigned host, std::int64_t step, std::size_t size) {
    const pid_t child = fork();
    if (child == 0) {
      testing::steps_left = step;
      {
        const std::unique_ptr<Participant> me = Attach(host);
        Work(*me, size);
      }
      _exit(0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == kKilledStatus)
        << WEXITSTATUS(status);
    return WEXITSTATUS(status) == kKilledStatus;
  }

  // Whatever is found is whole.
  static void ExpectWhole(Participant& reader, std::size_t size) {
    for (const Key& key :
         {Layer(size), Key{AliasKind::kRoot,
                           Sha256({reinterpret_cast<const char*>(Bytes(size).data()), size})}}) {
      Result<std::optional<Use>> found = reader.Find(key);
      ASSERT_TRUE(found.ok()) << found.status().ToString();
      if (!*found) continue;
      const Result<Mapped> mapped = Mapped::Open(reader, **std::move(found));
      ASSERT_TRUE(mapped.ok()) << mapped.status().ToString();
      const std::vector<std::byte> bytes = Bytes(size);
      ASSERT_TRUE(
          std::equal(bytes.begin(), bytes.end(), mapped->bytes().begin(), mapped->bytes().end()));
    }
  }

  // Nobody but `me` has anything, and after a collection the pool is as new.
  static void ExpectNothingLeft(Participant& me) {
    me.DropHolds(HoldKind::kAdmin, "n");
    for (const ObjectView& object : ListObjects(me.memory())) {
      ASSERT_EQ(object.state, RowState::kReady);
      ASSERT_EQ(object.uses, 0U);
    }
    ASSERT_EQ(ListSlots(me.memory()).size(), 1U);
    me.Collect({});
    for (const Finding& finding : Check(me.memory(), &me)) {
      ASSERT_EQ(finding.severity, Severity::kLeftover) << finding.what;
      ASSERT_TRUE(finding.repaired) << finding.what;
    }
    const UsageView usage = Usage(me.memory());
    ASSERT_EQ(usage.chunks_free, usage.chunks);
    ASSERT_EQ(usage.rows_used, 0U);
    ASSERT_EQ(usage.holds_used, 0U);
  }

  os::testing::Scratch scratch_;
  std::string path_;
};

TEST_F(Killed, AtEveryStepOfALocalProcess) {
  for (const std::size_t size : {std::size_t{70000}, std::size_t{5 * kMiB}}) {
    std::int64_t step = 0;
    for (; DiesAt(kLocal, step, size); ++step) {
      SCOPED_TRACE(step);
      const std::unique_ptr<Participant> next = Attach(kLocal);  // which sweeps
      ExpectWhole(*next, size);
      ExpectNothingLeft(*next);
      if (HasFatalFailure()) return;
    }
    std::printf("killed before each of %lld steps, %zu bytes\n", static_cast<long long>(step),
                size);
    EXPECT_GT(step, 50);
  }
}

TEST_F(Killed, ARemoteHostsThingsWaitForTheFence) {
  constexpr std::size_t kSize = 3 * kMiB;
  const std::unique_ptr<Participant> me = Attach(kLocal);
  std::int64_t step = 0;
  for (; DiesAt(kRemote, step, kSize); ++step) {
    SCOPED_TRACE(step);
    const UsageView before = Usage(me->memory());
    ASSERT_EQ(me->SweepLocal(), 0U) << "another host's process may be alive";
    ASSERT_EQ(Usage(me->memory()).chunks_free, before.chunks_free);
    ExpectWhole(*me, kSize);
    for (const HostView& host : ListHosts(me->memory())) {
      if (host.host == me->host()) continue;
      ASSERT_TRUE(me->Fence(host.host, host.key).ok());
    }
    ExpectNothingLeft(*me);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(step, 50);
}

// Many processes want the same layers, and builders are killed while they build: how often each
// layer was begun, by what the builders themselves have noted.
class ManyBuilders : public Killed {
 protected:
  static constexpr int kLayers = 3;
  static constexpr int kKillsEach = 2;
  struct Note {
    int what;  // 'b': begins to build it; 'd': has it
    int layer;
    pid_t pid;
  };

  void SetUp() override {
    Killed::SetUp();
    std::ofstream(NotesPath()).flush();
  }

  std::string NotesPath() const { return scratch_.path() + "/notes"; }

  void Tell(int what, int layer) const {
    const Note note = {what, layer, getpid()};
    const int fd = open(NotesPath().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (write(fd, &note, sizeof(note)) != sizeof(note)) _exit(5);
    close(fd);
  }

  std::vector<Note> Notes() const {
    const std::string text = os::testing::ReadFile(NotesPath());
    std::vector<Note> notes(text.size() / sizeof(Note));
    std::memcpy(notes.data(), text.data(), notes.size() * sizeof(Note));
    return notes;
  }

  pid_t Start(int number) {
    const pid_t child = fork();
    if (child != 0) return child;
    {
      const std::unique_ptr<Participant> me = Attach(kLocal);
      ObtainOptions options;
      options.patience = std::chrono::hours(1);
      for (int i = 0; i < kLayers; ++i) {
        const int layer = (i + number) % kLayers;
        const std::vector<std::byte> bytes = Bytes(3 * kMiB + static_cast<std::size_t>(layer));
        const Build build = [&](Building& building) -> Result<Digest> {
          Tell('b', layer);
          RETURN_IF_ERROR(building.Write(0, bytes));
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          RETURN_IF_ERROR(building.Seal(bytes.size()));
          return Sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        };
        if (!Obtain(*me, Layer(bytes.size()), build, options).ok()) _exit(6);
        Tell('d', layer);
      }
    }
    _exit(0);
  }

  // A process that builds right now, of a layer at which not enough have died.
  std::optional<Note> SomebodyToKill(const std::map<int, int>& killed) const {
    std::map<std::pair<int, pid_t>, Note> at_it;
    for (const Note& note : Notes()) {
      if (note.what == 'b') at_it[{note.layer, note.pid}] = note;
      if (note.what == 'd') at_it.erase({note.layer, note.pid});
    }
    for (const auto& [who, note] : at_it) {
      if (killed.at(note.layer) < kKillsEach && !dead_.contains(note.pid)) return note;
    }
    return std::nullopt;
  }

  std::set<pid_t> dead_;
};

TEST_F(ManyBuilders, ALayerIsBegunOnceAndOnceMoreForEachBuilderThatDiedAtIt) {
  std::set<pid_t> running;
  int started = 0;
  for (; started < 6; ++started) running.insert(Start(started));
  std::map<int, int> killed = {{0, 0}, {1, 0}, {2, 0}};
  while (!running.empty()) {
    if (const std::optional<Note> victim = SomebodyToKill(killed)) {
      kill(victim->pid, SIGKILL);
      int status = 0;
      ASSERT_EQ(waitpid(victim->pid, &status, 0), victim->pid);
      running.erase(victim->pid);
      dead_.insert(victim->pid);
      if (WIFSIGNALED(status)) {
        ++killed[victim->layer];
        running.insert(Start(started++));
      }
    }
    int status = 0;
    const pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended > 0) {
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
      running.erase(ended);
      dead_.insert(ended);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::map<int, int> begun;
  for (const Note& note : Notes()) begun[note.layer] += note.what == 'b' ? 1 : 0;
  for (int layer = 0; layer < kLayers; ++layer) {
    EXPECT_GE(begun[layer], 1);
    EXPECT_LE(begun[layer], 1 + killed[layer]) << "layer " << layer;
  }
  EXPECT_GE(killed[0] + killed[1] + killed[2], 1);
  EXPECT_EQ(ListObjects(Attach(kLocal)->memory()).size(), 3U);
}

// What is killed while it resizes leaves a pool that is right, and the same again finishes it.
TEST_F(Killed, AtEveryStepOfAResize) {
  std::filesystem::remove(path_);
  CreateOptions options;
  options.devices = {path_};
  options.size_bytes = 8 * kMiB;
  options.max_size_bytes = 24 * kMiB;
  ASSERT_TRUE(CreatePool(options).ok());
  const auto dies_at = [&](std::int64_t step, std::uint64_t size) {
    const pid_t child = fork();
    if (child == 0) {
      {
        const std::unique_ptr<Participant> me = Attach(kLocal);
        testing::steps_left = step;
        const Status resized = Resize(*me, size);
        testing::steps_left = -1;
        if (!resized.ok()) _exit(1);
      }
      _exit(0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 1);
    return WEXITSTATUS(status) == kKilledStatus;
  };
  for (const auto& [from, to] : {std::pair{8 * kMiB, 24 * kMiB}, std::pair{24 * kMiB, 8 * kMiB}}) {
    std::int64_t step = 0;
    for (bool dies = true; dies; ++step) {
      ASSERT_TRUE(Resize(*Attach(kRemote), from).ok());
      dies = dies_at(step, to);
      const std::unique_ptr<Participant> next = Attach(kLocal);  // opens it, and sweeps
      ASSERT_TRUE(Check(next->memory(), nullptr).empty()) << step;
      ASSERT_TRUE(Resize(*next, to).ok()) << step;
      ASSERT_EQ(std::filesystem::file_size(path_), to);
      const UsageView usage = Usage(next->memory());
      ASSERT_EQ(usage.chunks_absent == 0, to == 24 * kMiB);
      ASSERT_EQ(usage.chunks_free, usage.chunks);
    }
    EXPECT_GT(step, 8) << "a step a chunk";
  }
}

// Before a swap somebody else changes the word: what was lost is counted, and another found.
TEST_F(Killed, SwapsLostAreCountedByWhatWasWanted) {
  const std::unique_ptr<Participant> watcher = Attach(kRemote);
  const std::vector<std::byte> small = Bytes(1000);
  const std::vector<std::byte> large = Bytes(3 * kMiB);
  const auto changes = [] {
    testing::other = [](daxfs_word* word) { word->raw += std::uint64_t{1} << 24U; };
  };
  {
    const std::unique_ptr<Participant> me = Attach(kLocal);
    changes();
    const auto one = *me->Begin(ObjectKind::kImage);
    changes();
    ASSERT_TRUE(one->Write(0, large).ok());
    const auto two = *me->Begin(ObjectKind::kImage);
    ASSERT_TRUE(two->Write(0, small).ok());
    changes();  // the chunk is split already: that is what another did to it
    ASSERT_TRUE(two->Seal(small.size()).ok());
    const Result<Building::Published> published = two->Publish(Digest{});
    ASSERT_TRUE(published.ok()) << published.status().ToString();
    changes();
    ASSERT_TRUE(me->AddAlias(published->use, Layer(1)).ok());
  }
  ASSERT_FALSE(testing::other) << "all were met";
  Contention sum{};
  for (const HostView& host : ListHosts(watcher->memory())) {
    if (host.host != watcher->host()) sum = host.contention;
  }
  EXPECT_EQ(sum[DAXFS_CONTENTION_ROWS], 1U);
  EXPECT_EQ(sum[DAXFS_CONTENTION_CHUNKS], 1U);
  EXPECT_EQ(sum[DAXFS_CONTENTION_GRANULES], 1U);
  EXPECT_EQ(sum[DAXFS_CONTENTION_ALIASES], 1U);
}

// Right before the swap of that number.
void BeforeSwap(int number, const std::function<void()>& act) {
  testing::other = [number, act](daxfs_word*) {
    if (number > 0) return BeforeSwap(number - 1, act);
    act();
  };
}

// Whenever another frees what would go: there is room, so nobody says that there is none.
TEST_F(Killed, WhatAnotherFreesMeanwhileIsRoom) {
  const std::unique_ptr<Participant> me = Attach(kLocal);
  const std::unique_ptr<Participant> another = Attach(kRemote);
  me->CollectWhenFull([](const std::vector<Collected>&) {});
  int number = 0;
  for (bool met = true; met; ++number) {
    ASSERT_LT(number, 200);
    Work(*me, 20 * kMiB);  // all there is, and nobody's
    ASSERT_LT(Usage(me->memory()).chunks_free, 2U);
    BeforeSwap(number, [&] { another->Collect({}); });
    Work(*me, 3 * kMiB);
    met = !testing::other;
    testing::other = {};
    another->Collect({});
    me->Collect({});
  }
  EXPECT_GT(number, 10);
}

}  // namespace
}  // namespace daxfs::pool
