// SPDX-License-Identifier: Apache-2.0
// Participants of one pool in a file: several in this process, as if they were several processes,
// and hosts that are told apart by their ids.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/os/testing/scratch.hpp"
#include "common/pool/building.hpp"
#include "common/pool/heart.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/memory.hpp"
#include "common/pool/participant.hpp"
#include "common/pool/view.hpp"

namespace daxfs::pool::testing {

inline constexpr std::uint64_t kMiB = 1U << 20U;

inline std::vector<std::byte> Bytes(std::size_t size, unsigned seed) {
  std::vector<std::byte> bytes(size);
  std::uint32_t value = seed * 2654435761U + 1;
  for (std::byte& b : bytes) {
    value = value * 1664525U + 1013904223U;
    b = static_cast<std::byte>(value >> 24U);
  }
  return bytes;
}

inline Digest DigestOf(std::span<const std::byte> bytes) {
  return Sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

class PoolTest : public ::testing::Test {
 public:
  void SetUp() override { Make(32 * kMiB); }

  void Make(std::uint64_t size, std::uint32_t slots = 0) {
    path_ = scratch_.path() + "/pool";
    std::filesystem::remove(path_);
    ASSERT_TRUE(os::MakeSharedFile(path_, size).ok());
    CreateOptions options;
    options.devices = {path_};
    options.label = "test";
    options.slots = slots;
    const Status made = CreatePool(options);
    ASSERT_TRUE(made.ok()) << made.ToString();
  }

  HostIdentity Host(unsigned number) {
    HostIdentity host;
    host.id.fill(static_cast<std::byte>(number));
    host.name = "host" + std::to_string(number);
    host.boot = 77;
    host.run_dir = scratch_.path() + "/run" + std::to_string(number);
    return host;
  }

  std::unique_ptr<Memory> Open(os::Access access = os::Access::kWrite) {
    Result<std::unique_ptr<Memory>> memory = Memory::Open({path_}, access);
    EXPECT_TRUE(memory.ok()) << memory.status().ToString();
    return *std::move(memory);
  }

  std::unique_ptr<Participant> Attach(unsigned host = 1) {
    Result<std::unique_ptr<Participant>> joined =
        Participant::Attach(Open(), Host(host), "pool_test");
    EXPECT_TRUE(joined.ok()) << joined.status().ToString();
    return *std::move(joined);
  }

  // Leaves as a killed process does: nothing is undone.
  static void Kill(std::unique_ptr<Participant> participant) { participant->DieForTesting(); }

  static Result<Use> Place(Participant& participant, std::span<const std::byte> bytes) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Building> building,
                     participant.Begin(ObjectKind::kImage));
    RETURN_IF_ERROR(building->Write(0, bytes));
    RETURN_IF_ERROR(building->Seal(bytes.size()));
    ASSIGN_OR_RETURN(Building::Published published, building->Publish(DigestOf(bytes)));
    return std::move(published.use);
  }

  static constexpr Watch kShort{std::chrono::milliseconds(3), std::chrono::milliseconds(1)},
      kLong{std::chrono::minutes(1), std::chrono::milliseconds(1)};
  Status FenceFrom(unsigned self, const HostView& host, const Watch& watch) {
    return FenceTheStill(Open(), Host(self), "pool_test", host, watch);
  }

  static HostView ViewOf(const Participant& participant) {
    for (const HostView& host : ListHosts(participant.memory())) {
      if (host.host == participant.host()) return host;
    }
    return {};
  }

  // Everything there is to see, to be compared with before.
  static UsageView Seen(const Participant& participant) { return Usage(participant.memory()); }

  os::testing::Scratch scratch_;
  std::string path_;
};

inline std::vector<std::byte> ReadObject(Participant& participant, Ref ref) {
  Result<std::optional<Use>> use = participant.Take(ref);
  EXPECT_TRUE(use.ok() && use->has_value());
  const Result<Mapped> mapped = Mapped::Open(participant, **std::move(use));
  EXPECT_TRUE(mapped.ok()) << mapped.status().ToString();
  return {mapped->bytes().begin(), mapped->bytes().end()};
}

}  // namespace daxfs::pool::testing
