// SPDX-License-Identifier: Apache-2.0
// Pools in files that grow and shrink while others take part in them.
#include "common/pool/resize.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "common/os/testing/scratch.hpp"
#include "common/pool/building.hpp"
#include "common/pool/check.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/view.hpp"

namespace daxfs::pool {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20U;
constexpr std::uint64_t kChunk = DAXFS_CHUNK_SIZE;

class ResizeTest : public testing::Test {
 protected:
  void SetUp() override {
    CreateOptions options;
    options.devices = {scratch_.path() + "/pool"};
    options.size_bytes = 12 * kMiB;
    options.max_size_bytes = 40 * kMiB;
    Make(options);
    me_ = Attach(1);
    first_ = me_->memory().info().device[0].data_offset;
  }

  void Make(const CreateOptions& options) {
    devices_ = options.devices;
    const Status made = CreatePool(options);
    ASSERT_TRUE(made.ok()) << made.ToString();
  }

  std::unique_ptr<Participant> Attach(unsigned number) {
    HostIdentity host;
    host.id.fill(static_cast<std::byte>(number));
    host.name = "host";
    host.boot = 7;
    host.run_dir = scratch_.path() + "/run" + std::to_string(number);
    Result<std::unique_ptr<Memory>> memory = Memory::Open(devices_, os::Access::kWrite);
    EXPECT_TRUE(memory.ok()) << memory.status().ToString();
    Result<std::unique_ptr<Participant>> joined =
        Participant::Attach(*std::move(memory), host, "resize_test");
    EXPECT_TRUE(joined.ok()) << joined.status().ToString();
    return *std::move(joined);
  }

  // An object of that size, in use.
  static Result<Use> Place(Participant& participant, std::size_t size) {
    const std::vector<std::byte> bytes(size, std::byte{7});
    ASSIGN_OR_RETURN(const std::unique_ptr<Building> building,
                     participant.Begin(ObjectKind::kImage));
    RETURN_IF_ERROR(building->Write(0, bytes));
    RETURN_IF_ERROR(building->Seal(bytes.size()));
    ASSIGN_OR_RETURN(Building::Published published,
                     building->Publish(Sha256(std::to_string(size))));
    return std::move(published.use);
  }

  std::uint64_t FileSize() const { return std::filesystem::file_size(devices_.back()); }
  std::uint64_t SizeOf(std::uint32_t chunks) const { return first_ + chunks * kChunk; }
  UsageView Seen() const { return Usage(me_->memory()); }

  os::testing::Scratch scratch_;
  std::vector<std::string> devices_;
  std::unique_ptr<Participant> me_;
  std::uint64_t first_ = 0;  // byte of the first chunk
};

TEST_F(ResizeTest, WhoTookPartBeforeItGrewUsesWhatIsNew) {
  const UsageView before = Seen();
  EXPECT_EQ(before.chunks + before.chunks_absent, me_->memory().info().chunk_count);
  const std::unique_ptr<Participant> other = Attach(2);
  const Result<Use> full = Place(*other, 20 * kMiB);
  ASSERT_EQ(full.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(full.status().message(), HasSubstr("daxfsctl pool resize"));
  ASSERT_TRUE(Resize(*me_, 40 * kMiB).ok());
  EXPECT_EQ(FileSize(), 40 * kMiB);
  EXPECT_EQ(Seen().chunks_absent, 0U);
  const Result<Use> placed = Place(*other, 20 * kMiB);
  ASSERT_TRUE(placed.ok()) << placed.status().ToString();
  Result<std::optional<Use>> use = me_->Take(placed->ref());
  ASSERT_TRUE(use.ok() && use->has_value());
  const Result<Mapped> mapped = Mapped::Open(*me_, **std::move(use));
  ASSERT_TRUE(mapped.ok()) << mapped.status().ToString();
  EXPECT_EQ(mapped->bytes()[20 * kMiB - 1], std::byte{7});
  EXPECT_THAT(Place(*other, 39 * kMiB).status().message(), Not(HasSubstr("resize")));
}

TEST_F(ResizeTest, ItShrinksToWhatIsFreeAndElseSaysWhatStandsThere) {
  ASSERT_TRUE(Resize(*me_, 40 * kMiB).ok());
  const std::uint32_t all = me_->memory().info().chunk_count;
  {
    const Result<Use> low = Place(*me_, 5 * kMiB);
    ASSERT_TRUE(low.ok());
    ASSERT_TRUE(Resize(*me_, SizeOf(3)).ok());
    EXPECT_EQ(FileSize(), SizeOf(3));
    EXPECT_EQ(Seen().chunks, 3U);
    const Status refused = Resize(*me_, SizeOf(2));
    EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(refused.message(), HasSubstr("chunk 2 holds"));
    EXPECT_THAT(refused.message(), HasSubstr("it is in use"));
    EXPECT_TRUE(me_->SetName(*low, "web").ok());
    EXPECT_THAT(Resize(*me_, SizeOf(2)).message(), HasSubstr("\"web\""));
    ASSERT_TRUE(Resize(*me_, SizeOf(all)).ok());
    EXPECT_EQ(Resize(*me_, SizeOf(1)).code(), StatusCode::kFailedPrecondition);
    EXPECT_EQ(Seen().chunks, all) << "what was taken away is there again";
    EXPECT_EQ(FileSize(), SizeOf(all));
    EXPECT_TRUE(me_->RemoveName("web").ok());
  }
  EXPECT_THAT(Resize(*me_, SizeOf(2)).message(), HasSubstr("daxfsctl pool gc"));
  me_->Collect({});
  EXPECT_TRUE(Resize(*me_, SizeOf(1)).ok());
  EXPECT_TRUE(Check(me_->memory(), nullptr).empty());
  EXPECT_TRUE(Resize(*me_, SizeOf(1)).ok()) << "again";
}

TEST_F(ResizeTest, SmallObjectsStandInTheWayUntilTheyAreGone) {
  const std::uint32_t chunks = Seen().chunks;
  {
    const Result<Use> large = Place(*me_, (chunks - 1) * kChunk);
    const Result<Use> small = Place(*me_, 100000);
    ASSERT_TRUE(large.ok() && small.ok());
    EXPECT_THAT(Resize(*me_, SizeOf(chunks - 1)).message(),
                HasSubstr(DigestText(Sha256("100000"))));
    ASSERT_TRUE(me_->Hold(*large, HoldKind::kAdmin, "large").ok());
  }
  ASSERT_EQ(me_->Collect({}).size(), 1U);
  const daxfs_pool& words = me_->memory().words();
  ASSERT_EQ(daxfs_chunk_split(&words, chunks - 1), 0) << "split, and nothing in it";
  EXPECT_TRUE(Resize(*me_, SizeOf(chunks - 1)).ok());
  EXPECT_EQ(daxfs_load(&words.owners[chunks - 1]), DAXFS_OWNER_ABSENT);
}

TEST_F(ResizeTest, SizesThatCannotBe) {
  const UsageView before = Seen();
  EXPECT_THAT(Resize(*me_, 40 * kMiB + 1).message(), HasSubstr("at most"));
  EXPECT_THAT(Resize(*me_, first_).message(), HasSubstr("tables and one chunk"));
  CreateOptions options;
  options.devices = {scratch_.path() + "/other"};
  options.size_bytes = 12 * kMiB;
  options.max_size_bytes = 8 * kMiB;
  EXPECT_THAT(CreatePool(options).message(), HasSubstr("--max-size"));
  options.max_size_bytes = std::uint64_t{1} << 40U;
  EXPECT_THAT(CreatePool(options).message(), HasSubstr("too small for its tables"));
  EXPECT_EQ(Seen().chunks, before.chunks);
}

TEST_F(ResizeTest, AFileThatIsShorterThanItsChunksIsRefused) {
  me_.reset();
  ASSERT_EQ(truncate(devices_.back().c_str(), static_cast<off_t>(FileSize() - kChunk)), 0);
  EXPECT_EQ(Memory::Open(devices_, os::Access::kRead).status().code(), StatusCode::kDataLoss);
  ASSERT_EQ(truncate(devices_.back().c_str(), static_cast<off_t>(first_)), 0);
  EXPECT_EQ(Memory::Open(devices_, os::Access::kRead).status().code(), StatusCode::kDataLoss);
}

TEST_F(ResizeTest, AbsentInTheMiddleIsOnlyNotThere) {
  ASSERT_TRUE(Resize(*me_, 40 * kMiB).ok());
  const std::uint32_t chunks = Seen().chunks;
  daxfs_store(&me_->memory().words().owners[1], DAXFS_OWNER_ABSENT);
  EXPECT_EQ(Seen().chunks, chunks - 1);
  EXPECT_TRUE(Check(me_->memory(), nullptr).empty());
  EXPECT_TRUE(Place(*me_, (chunks - 1) * kChunk).ok());
  EXPECT_FALSE(Place(*me_, chunks * kChunk).ok());
}

TEST_F(ResizeTest, OfSeveralDevicesTheLastGrows) {
  me_.reset();
  CreateOptions options;
  options.devices = {scratch_.path() + "/a", scratch_.path() + "/b"};
  options.size_bytes = 10 * kMiB;
  options.max_size_bytes = 20 * kMiB;
  Make(options);
  me_ = Attach(1);
  const std::uint32_t before = Seen().chunks;
  EXPECT_EQ(Seen().chunks_absent, 5U);
  ASSERT_TRUE(Resize(*me_, 20 * kMiB).ok());
  EXPECT_EQ(Seen().chunks, before + 5);
  EXPECT_EQ(std::filesystem::file_size(devices_.front()), 10 * kMiB);
  EXPECT_TRUE(Place(*me_, (before + 5) * kChunk).ok());
  me_->Collect({});
  ASSERT_TRUE(Resize(*me_, 4 * kMiB).ok());
  EXPECT_EQ(Seen().chunks, before - 3);
  EXPECT_EQ(Attach(2)->memory().chunks(), before + 5) << "all there may be is mapped";
}

}  // namespace
}  // namespace daxfs::pool
