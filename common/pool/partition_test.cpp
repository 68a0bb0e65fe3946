// SPDX-License-Identifier: Apache-2.0
// A pool without coherence between hosts: each has a partition, and reads the others'.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "common/os/testing/scratch.hpp"
#include "common/pool/building.hpp"
#include "common/pool/heart.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/obtain.hpp"
#include "common/pool/participant.hpp"
#include "common/pool/view.hpp"

namespace daxfs::pool {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20U;

Uuid IdOf(unsigned number) {
  Uuid id;
  id.fill(static_cast<std::byte>(number));
  return id;
}

class PartitionTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = scratch_.path() + "/pool";
    ASSERT_TRUE(os::MakeSharedFile(path_, 64 * kMiB).ok());
    const Status made = CreatePool(Options());
    ASSERT_TRUE(made.ok()) << made.ToString();
  }

  CreateOptions Options() const {
    CreateOptions options;
    options.devices = {path_};
    options.partitions = {IdOf(1), IdOf(2), IdOf(3)};
    return options;
  }

  HostIdentity Host(unsigned number) const {
    HostIdentity identity;
    identity.id = IdOf(number);
    identity.name = "host" + std::to_string(number);
    identity.boot = 77;
    identity.run_dir = scratch_.path() + "/run" + std::to_string(number);
    return identity;
  }

  Result<std::unique_ptr<Participant>> Join(unsigned host) {
    ASSIGN_OR_RETURN(std::unique_ptr<Memory> memory, Memory::Open({path_}, os::Access::kWrite));
    return Participant::Attach(std::move(memory), Host(host), "partition_test");
  }

  Status FenceFrom(unsigned self, const HostView& host, const Watch& watch) {
    ASSIGN_OR_RETURN(std::unique_ptr<Memory> memory, Memory::Open({path_}, os::Access::kWrite));
    return FenceTheStill(std::move(memory), Host(self), "partition_test", host, watch);
  }

  std::unique_ptr<Participant> Attach(unsigned host) {
    Result<std::unique_ptr<Participant>> joined = Join(host);
    EXPECT_TRUE(joined.ok()) << joined.status().ToString();
    return *std::move(joined);
  }

  static std::vector<std::byte> Bytes(std::size_t size, unsigned seed) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * seed) >> 3U);
    return bytes;
  }

  static Digest DigestOf(std::span<const std::byte> bytes) {
    return Sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  static Result<Use> Place(Participant& participant, std::span<const std::byte> bytes) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Building> building,
                     participant.Begin(ObjectKind::kImage));
    RETURN_IF_ERROR(building->Write(0, bytes));
    RETURN_IF_ERROR(building->Seal(bytes.size()));
    ASSIGN_OR_RETURN(Building::Published published, building->Publish(DigestOf(bytes)));
    return std::move(published.use);
  }

  // Looks an object up and compares its bytes.
  static void ExpectBytes(Participant& reader, std::span<const std::byte> bytes) {
    Result<std::optional<Use>> found = reader.Find({AliasKind::kRoot, DigestOf(bytes)});
    ASSERT_TRUE(found.ok() && found->has_value());
    const Result<Mapped> mapped = Mapped::Open(reader, **std::move(found));
    ASSERT_TRUE(mapped.ok()) << mapped.status().ToString();
    EXPECT_TRUE(
        std::equal(bytes.begin(), bytes.end(), mapped->bytes().begin(), mapped->bytes().end()));
  }

  os::testing::Scratch scratch_;
  std::string path_;
};

TEST_F(PartitionTest, EachHostBuildsAtHomeAndReadsTheOthers) {
  const auto one = Attach(1), two = Attach(2), three = Attach(3);
  std::vector<Use> uses;
  unsigned seed = 0;
  for (Participant* builder : {one.get(), two.get(), three.get()}) {
    for (const std::size_t size : {std::size_t{100}, std::size_t{5 * kMiB}}) {
      const std::vector<std::byte> bytes = Bytes(size, ++seed);
      Result<Use> placed = Place(*builder, bytes);
      ASSERT_TRUE(placed.ok()) << placed.status().ToString();
      EXPECT_EQ(placed->ref().partition, builder->memory().partition());
      uses.push_back(*std::move(placed));
      for (Participant* reader : {one.get(), two.get(), three.get()}) ExpectBytes(*reader, bytes);
    }
  }
  EXPECT_EQ(Usage(two->memory()).rows_used, 2U);
  EXPECT_EQ(Usage(two->memory().At(0)).rows_used, 2U);
}

TEST_F(PartitionTest, WhatAnotherHostUsesOrHoldsIsNotCollected) {
  const auto one = Attach(1), two = Attach(2);
  const std::vector<std::byte> bytes = Bytes(3 * kMiB, 5);
  const Ref ref = [&] { return Place(*one, bytes)->ref(); }();
  {
    Result<std::optional<Use>> use = two->Find({AliasKind::kRoot, DigestOf(bytes)});
    ASSERT_TRUE(use.ok() && use->has_value());
    EXPECT_EQ((*use)->ref(), ref);
    EXPECT_EQ(one->CollectOne(ref).code(), StatusCode::kFailedPrecondition);
    EXPECT_EQ(two->CollectOne(ref).code(), StatusCode::kFailedPrecondition) << "not at home";
    ASSERT_TRUE(two->NameAndHold(**use, "web").ok());
  }
  EXPECT_TRUE(one->Collect({}).empty());
  EXPECT_EQ(ListObjects(one->memory()).front().holds, 1U);
  // A name in one partition, of an object in another, is found by all.
  for (Participant* reader : {one.get(), two.get()}) {
    Result<std::optional<Use>> named = reader->FindName("web");
    ASSERT_TRUE(named.ok() && named->has_value());
    EXPECT_EQ((*named)->ref(), ref);
  }
  ASSERT_TRUE(two->DropHold(HoldKind::kAdmin, "web").ok());
  EXPECT_EQ(one->Collect({}).size(), 1U);
  Result<std::optional<Use>> gone = two->Find({AliasKind::kRoot, DigestOf(bytes)});
  EXPECT_TRUE(gone.ok() && !gone->has_value());
  gone = two->FindName("web");
  EXPECT_TRUE(gone.ok() && !gone->has_value());
}

TEST_F(PartitionTest, AFencedHostsReferencesCountAgainOnlyInItsNextLife) {
  const auto one = Attach(1), three = Attach(3);
  const std::vector<std::byte> bytes = Bytes(kMiB, 7);
  const Ref ref = [&] { return Place(*one, bytes)->ref(); }();
  {
    const auto two = Attach(2);
    Result<std::optional<Use>> use = two->Take(ref);
    ASSERT_TRUE(use.ok() && use->has_value());
    ASSERT_TRUE(two->Hold(**use, HoldKind::kSnapshot, "s").ok());
  }
  EXPECT_TRUE(one->Collect({}).empty());
  EXPECT_EQ(one->FencePartition(0).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(one->FencePartition(9).code(), StatusCode::kNotFound);
  ASSERT_TRUE(three->FencePartition(1).ok());
  EXPECT_EQ(one->Collect({}).size(), 1U) << "stated by a third host";
  const Ref next = [&] { return Place(*one, bytes)->ref(); }();
  const auto two = Attach(2);
  ASSERT_EQ(ListHolds(two->memory()).size(), 1U);
  EXPECT_EQ(ListHolds(two->memory()).front().ref, ref) << "of what has gone";
  Result<std::optional<Use>> use = two->Take(next);
  ASSERT_TRUE(use.ok() && use->has_value());
  EXPECT_TRUE(one->Collect({}).empty());
}

TEST_F(PartitionTest, AHostWhoseHeartBeatsIsNotFenced) {
  constexpr Watch kShort{std::chrono::milliseconds(3), std::chrono::milliseconds(1)};
  constexpr Watch kLong{std::chrono::minutes(1), std::chrono::milliseconds(1)};
  const auto one = Attach(1);
  const auto two = Attach(2);
  const std::vector<HostView> hosts = ListAllHosts(one->memory());
  EXPECT_EQ(FenceFrom(1, hosts[0], kLong).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(FenceFrom(1, hosts[1], kLong).code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(two->FindName("none").ok()) << "not fenced";
  two->DieForTesting();
  EXPECT_TRUE(FenceFrom(1, hosts[1], kShort).ok());
  EXPECT_TRUE(FenceFrom(1, hosts[2], kShort).ok()) << "never there";
}

TEST_F(PartitionTest, OneBuildsWhatAnotherHostIsBuilding) {
  const auto one = Attach(1), two = Attach(2);
  const Result<std::unique_ptr<Building>> building = one->Begin(ObjectKind::kImage);
  ASSERT_TRUE((*building)->Write(0, Bytes(5 * kMiB, 1)).ok());
  ASSERT_TRUE(*one->Announce(Digest{}, (*building)->ref()));
  const std::optional<Participant::Builder> seen = two->FindBuilder(Digest{});
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->ref, (*building)->ref());
  EXPECT_EQ(seen->progress, 6 * kMiB);
  one->Withdraw(Digest{}, (*building)->ref());
}

TEST_F(PartitionTest, AStrangerAndADamagedPartitionAreRefused) {
  EXPECT_THAT(Join(4).status().message(), HasSubstr("no partition for this host"));
  CreateOptions options = Options();
  options.replace = true;
  for (const std::vector<Uuid>& wrong :
       {std::vector<Uuid>{IdOf(1)}, std::vector<Uuid>{IdOf(1), IdOf(2), IdOf(1)}}) {
    options.partitions = wrong;
    EXPECT_EQ(CreatePool(options).code(), StatusCode::kInvalidArgument);
  }
  Result<os::SharedMemory> raw = os::SharedMemory::Open(path_, os::Access::kWrite);
  ASSERT_TRUE(raw.ok());
  const std::uint64_t second = Attach(1)->memory().info().partition_size;
  for (const std::uint64_t at : {second, second + 56, second + 216}) {
    std::byte& byte = raw->bytes()[at];
    const std::byte before = byte;
    byte ^= std::byte{0x40};
    EXPECT_EQ(Join(1).status().code(), StatusCode::kDataLoss) << at;
    byte = before;
  }
  EXPECT_TRUE(Join(1).ok());
}

}  // namespace
}  // namespace daxfs::pool
