// SPDX-License-Identifier: Apache-2.0
// Layers in a pool in a file: made, found and waited for by participants of two hosts.
#include "common/convert/place_layer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "common/convert/pool_sink.hpp"
#include "common/convert/testing/layers.hpp"
#include "common/format/verify.hpp"
#include "common/oci/blob_reader.hpp"
#include "common/os/file_io.hpp"
#include "common/os/testing/scratch.hpp"
#include "common/pool/check.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/view.hpp"

namespace daxfs::convert {
namespace {

using oci::testing::TarBuilder;
using pool::AliasKind;
using pool::How;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20U;

oci::Digest DigestOf(const std::string& bytes) {
  return oci::Sha256::Of(std::as_bytes(std::span(bytes)));
}

// What somebody wants to place: `stored` is what lies there, the digests are what he believes.
struct Layer {
  Layer(std::string tar_bytes, std::string stored_bytes)
      : tar(std::move(tar_bytes)),
        stored(std::move(stored_bytes)),
        stored_digest(DigestOf(stored)),
        diff_id(DigestOf(tar)) {}

  std::string tar;
  std::string stored;
  std::optional<oci::Digest> stored_digest;
  std::optional<oci::Digest> diff_id;
};

// Five directories nobody names, the last inode among them, and bytes behind the end marks.
Layer Zipped(unsigned seed = 0) {
  TarBuilder tar;
  tar.File("a/b/c", std::string(3 * kMiB, 'x')).File("seed", std::to_string(seed));
  tar.HardLink("d/e/f/again", "seed");
  const std::string bytes = tar.Finish() + std::string(9000, '\0');
  return {bytes, oci::testing::Gzip(bytes)};
}

class PlaceLayerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(os::MakeSharedFile(path_, 32 * kMiB).ok());
    pool::CreateOptions options;
    options.devices = {path_};
    ASSERT_TRUE(pool::CreatePool(options).ok());
  }

  std::unique_ptr<pool::Participant> Attach(unsigned number) {
    pool::HostIdentity host;
    host.id.fill(static_cast<std::byte>(number));
    host.name = "host" + std::to_string(number);
    host.boot = 77;
    host.run_dir = scratch_.Path("run" + std::to_string(number));
    Result<std::unique_ptr<pool::Memory>> memory = pool::Memory::Open({path_}, os::Access::kWrite);
    EXPECT_TRUE(memory.ok()) << memory.status().ToString();
    auto joined = pool::Participant::Attach(*std::move(memory), host, "place_layer_test");
    EXPECT_TRUE(joined.ok()) << joined.status().ToString();
    return *std::move(joined);
  }

  PlaceLayerRequest Request(const Layer& layer, AliasKind kind) {
    PlaceLayerRequest request;
    request.key = {kind, (kind == AliasKind::kBlob ? layer.stored_digest : layer.diff_id)->bytes};
    request.open = [this, layer]() -> Result<std::unique_ptr<oci::PositionedReader>> {
      const std::string path = scratch_.Path("stored" + std::to_string(++opened_));
      os::testing::WriteFile(path, layer.stored);
      ASSIGN_OR_RETURN(os::UniqueFd fd, os::OpenForReading(path));
      return std::unique_ptr<oci::PositionedReader>(std::make_unique<oci::BlobReader>(
          std::move(fd), layer.stored_digest.value_or(DigestOf(layer.stored)),
          layer.stored.size()));
    };
    request.stored_digest = layer.stored_digest;
    request.diff_id = layer.diff_id;
    return request;
  }

  Result<PlacedLayer> Place(pool::Participant& participant, const Layer& layer, AliasKind kind) {
    testing::CountingMonitor monitor;
    return PlaceLayer(participant, Request(layer, kind), monitor);
  }

  static bool IsFound(pool::Participant& participant, AliasKind kind, const oci::Digest& digest) {
    return participant.Find({kind, digest.bytes})->has_value();
  }

  // An image that some other program has put under a key.
  static void PutImage(pool::Participant& participant, const pool::Key& key,
                       const std::optional<format::SourceInfo>& source) {
    const auto building = *participant.Begin(pool::ObjectKind::kImage);
    PoolSink sink(*building);
    ImageBuilder image(sink, {});
    const ImageSummary summary = *image.Finish(source);
    const auto published = *building->Publish(summary.root.bytes);
    ASSERT_TRUE(participant.AddAlias(published.use, key).ok());
    ASSERT_TRUE(participant.NameAndHold(published.use, "kept").ok());
  }

  os::testing::Scratch scratch_;
  const std::string path_ = scratch_.Path("pool");
  std::atomic<int> opened_{0};
};

TEST_F(PlaceLayerTest, WhatOneMadeTheOtherFindsWithAllThatIsToBeSaidOfIt) {
  const auto one = Attach(1);
  const auto two = Attach(2);
  int opened = 0;
  for (const AliasKind made_by : {AliasKind::kDiffId, AliasKind::kBlob}) {
    const Layer layer = Zipped(static_cast<unsigned>(made_by));
    const Result<PlacedLayer> made = Place(*one, layer, made_by);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    EXPECT_EQ(made->how, How::kBuilt);
    ASSERT_TRUE(made->built.has_value());
    EXPECT_EQ(made->built->root, made->root);
    EXPECT_EQ(made->diff_id, layer.diff_id);
    EXPECT_EQ(made->tar_bytes, layer.tar.size());
    EXPECT_EQ(made->implicit_directories, 5U);
    ++opened;
    for (const AliasKind found_by : {AliasKind::kDiffId, AliasKind::kBlob}) {
      Result<PlacedLayer> found = Place(*two, layer, found_by);
      ASSERT_TRUE(found.ok()) << found.status().ToString();
      EXPECT_EQ(found->how, How::kFound);
      EXPECT_FALSE(found->built.has_value());
      EXPECT_EQ(found->use.ref(), made->use.ref());
      EXPECT_EQ(found->root, made->root);
      EXPECT_EQ(found->diff_id, made->diff_id);
      EXPECT_EQ(found->tar_bytes, made->tar_bytes);
      EXPECT_EQ(found->implicit_directories, made->implicit_directories);
      const pool::Mapped mapped = *pool::Mapped::Open(*two, std::move(found->use));
      const format::Image image = *format::Image::FromBytes(mapped.bytes());
      EXPECT_TRUE(format::Verify(image, format::VerifyLevel::kFull).ok());
      EXPECT_EQ(image.Info().source, testing::SourceOf(layer.tar));
    }
    EXPECT_EQ(opened_, opened) << "nothing is read of a layer that is there";
  }
}

TEST_F(PlaceLayerTest, WhatIsNotKnownBeforeIsSaidAfter) {
  const auto me = Attach(1);
  Layer layer = Zipped();
  const oci::Digest diff_id = *std::exchange(layer.diff_id, std::nullopt);
  const Result<PlacedLayer> by_blob = Place(*me, layer, AliasKind::kBlob);
  ASSERT_TRUE(by_blob.ok()) << by_blob.status().ToString();
  EXPECT_EQ(by_blob->diff_id, diff_id);
  EXPECT_TRUE(IsFound(*me, AliasKind::kDiffId, diff_id));
  EXPECT_EQ(Place(*me, layer, AliasKind::kBlob)->diff_id, diff_id);
  // The same layer, stored in another way: one image, and all digests lead to it.
  Layer plain(layer.tar, layer.tar + "");
  plain.stored = oci::testing::Zstd(plain.tar);
  plain.stored_digest = DigestOf(plain.stored);
  plain.diff_id.reset();
  const Result<PlacedLayer> again = Place(*me, plain, AliasKind::kBlob);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->how, How::kFound);
  EXPECT_TRUE(again->built.has_value());
  EXPECT_EQ(again->use.ref(), by_blob->use.ref());
  EXPECT_EQ(pool::ListObjects(me->memory()).size(), 1U);
}

// Otherwise a manifest that pairs somebody's blob with another layer's diffID would decide what
// everybody gets for that blob.
TEST_F(PlaceLayerTest, AManifestsWordMakesNoAliasOfABlob) {
  const auto me = Attach(1);
  Layer unnamed = Zipped();
  unnamed.stored_digest.reset();
  ASSERT_TRUE(Place(*me, unnamed, AliasKind::kDiffId).ok());
  Layer claimed = Zipped();
  claimed.stored_digest = DigestOf("somebody's blob");
  ASSERT_EQ(Place(*me, claimed, AliasKind::kDiffId)->how, How::kFound);
  EXPECT_FALSE(IsFound(*me, AliasKind::kBlob, *claimed.stored_digest));
}

TEST_F(PlaceLayerTest, WhatIsWrongLeavesNothing) {
  const auto me = Attach(1);
  const Layer good = Zipped();
  Layer other_tar = good;
  other_tar.diff_id = DigestOf("another tar");
  Layer other_blob = good;
  other_blob.stored_digest = DigestOf("another blob");
  Layer cut(good.tar, good.stored.substr(0, good.stored.size() / 2));
  Layer flipped = good;
  flipped.stored[flipped.stored.size() / 2] ^= 1;
  flipped.stored_digest.reset();
  const Layer no_tar(std::string(2000, 'x'), std::string(2000, 'x'));
  const struct {
    const char* what;
    const Layer& layer;
    AliasKind kind;
    const char* message;
  } table[] = {
      {"wrong diffID", other_tar, AliasKind::kDiffId, "the uncompressed layer has"},
      {"wrong diffID, asked for by the blob", other_tar, AliasKind::kBlob, "uncompressed layer"},
      {"wrong blob", other_blob, AliasKind::kBlob, "sha256:"},
      {"cut gzip", cut, AliasKind::kBlob, "gzip"},
      {"broken gzip", flipped, AliasKind::kDiffId, ""},
      {"no tar", no_tar, AliasKind::kDiffId, ""},
  };
  for (const auto& row : table) {
    SCOPED_TRACE(row.what);
    const Result<PlacedLayer> placed = Place(*me, row.layer, row.kind);
    ASSERT_FALSE(placed.ok());
    EXPECT_THAT(placed.status().message(), HasSubstr(row.message));
    EXPECT_TRUE(pool::ListObjects(me->memory()).empty());
    EXPECT_FALSE(IsFound(*me, AliasKind::kDiffId, *row.layer.diff_id));
    EXPECT_FALSE(row.layer.stored_digest &&
                 IsFound(*me, AliasKind::kBlob, *row.layer.stored_digest));
    const pool::UsageView usage = pool::Usage(me->memory());
    EXPECT_EQ(usage.chunks_free, usage.chunks);
    EXPECT_EQ(usage.aliases_used, 0U);
  }
  EXPECT_EQ(Place(*me, good, AliasKind::kDiffId)->how, How::kBuilt);
}

// Bytes that come in small parts until at `end` nothing more comes, by an error or without one.
class BreaksAt final : public oci::PositionedReader {
 public:
  BreaksAt(std::string bytes, std::size_t end, Status error)
      : bytes_(std::move(bytes)), end_(end), error_(std::move(error)) {}
  Result<std::size_t> Read(std::span<std::byte> out) override {
    constexpr std::size_t kPart = 1000;
    const std::size_t n = std::min({out.size(), kPart, end_ - position()});
    if (n == 0) RETURN_IF_ERROR(error_);
    std::memcpy(out.data(), bytes_.data() + position(), n);
    Advance(n);
    return n;
  }

 private:
  const std::string bytes_;
  const std::size_t end_;
  const Status error_;
};

// Of every kind of file, with data of some size that does not compress.
std::string SmallTar() {
  std::string noise(1500, '\0');
  std::mt19937 random(1);
  for (char& c : noise) c = static_cast<char>(random());
  TarBuilder tar;
  tar.Directory("etc").File("etc/noise", noise).Symlink("link", "etc/noise");
  tar.HardLink("again", "etc/noise").File("etc/.wh.gone", "").File("a/b/c", "implicit");
  return tar.Finish();
}

TEST_F(PlaceLayerTest, InterruptedAtAnyByteThePoolIsAsBefore) {
  const auto me = Attach(1);
  const std::string tar = SmallTar();
  const auto expect_untouched = [&] {
    EXPECT_TRUE(pool::ListObjects(me->memory()).empty());
    const pool::UsageView usage = pool::Usage(me->memory());
    EXPECT_EQ(usage.chunks_free, usage.chunks);
    EXPECT_EQ(usage.aliases_used, 0U);
  };
  for (const std::string& stored : {tar, oci::testing::Gzip(tar), oci::testing::Zstd(tar)}) {
    const Layer layer(tar, stored);
    for (const Status& error : {UnavailableError("broken"), Status::Ok()}) {
      // What a tar ends with may be missing where nobody knows the digests; here they are known.
      for (std::size_t end = 0; end < stored.size(); ++end) {
        PlaceLayerRequest request = Request(layer, AliasKind::kDiffId);
        request.open = [&]() -> Result<std::unique_ptr<oci::PositionedReader>> {
          return std::unique_ptr<oci::PositionedReader>(std::make_unique<oci::BlobReader>(
              std::make_unique<BreaksAt>(stored, end, error), *layer.stored_digest, stored.size()));
        };
        testing::CountingMonitor monitor;
        ASSERT_FALSE(PlaceLayer(*me, request, monitor).ok()) << end;
        expect_untouched();
        if (HasFailure()) FAIL() << "at byte " << end;
      }
    }
  }
  EXPECT_EQ(Place(*me, Layer(tar, tar), AliasKind::kDiffId)->how, How::kBuilt);
}

// Its Nth operation fails.
class FailingSink final : public Sink {
 public:
  FailingSink(Sink& sink, int left) : sink_(sink), left_(left) {}
  Status Write(std::uint64_t offset, std::span<const std::byte> data) override {
    RETURN_IF_ERROR(Count());
    return sink_.Write(offset, data);
  }
  Status Read(std::uint64_t offset, std::span<std::byte> out) override {
    RETURN_IF_ERROR(Count());
    return sink_.Read(offset, out);
  }
  Status Zero(std::uint64_t offset, std::uint64_t length) override {
    RETURN_IF_ERROR(Count());
    return sink_.Zero(offset, length);
  }
  Status Finish(std::uint64_t image_size, std::span<const std::byte, 8> magic) override {
    RETURN_IF_ERROR(Count());
    return sink_.Finish(image_size, magic);
  }

 private:
  Status Count() { return --left_ == 0 ? ResourceExhaustedError("no more") : Status::Ok(); }
  Sink& sink_;
  int left_;
};

TEST_F(PlaceLayerTest, WhicheverWriteFailsThePoolIsAsBefore) {
  const auto me = Attach(1);
  for (const Layer& layer : {Zipped(), Layer(SmallTar(), SmallTar())}) {
    int failed = 0;
    for (bool done = false; !done; ++failed) {
      {
        const auto building = *me->Begin(pool::ObjectKind::kImage);
        PoolSink pool_sink(*building);
        FailingSink sink(pool_sink, failed + 1);
        testing::CountingMonitor monitor;
        const auto made = MakeLayer(Request(layer, AliasKind::kDiffId), sink, monitor, {});
        done = made.ok();
        ASSERT_TRUE(done || made.status().code() == StatusCode::kResourceExhausted);
      }
      ASSERT_TRUE(pool::ListObjects(me->memory()).empty()) << failed;
      const pool::UsageView usage = pool::Usage(me->memory());
      // Of a whole image that nobody published a chunk parted for small objects may be left, empty.
      ASSERT_TRUE(done || usage.chunks_free == usage.chunks) << failed;
    }
    EXPECT_GT(failed, 5);
  }
}

TEST_F(PlaceLayerTest, TwoAtOnceMakeOne) {
  const Layer layer = Zipped();
  const std::array<std::unique_ptr<pool::Participant>, 2> participants = {Attach(1), Attach(2)};
  std::array<std::optional<PlacedLayer>, 2> placed;
  std::atomic<bool> waited{false};
  std::array<std::thread, 2> threads;
  for (unsigned i = 0; i < 2; ++i) {
    threads.at(i) = std::thread([&, i] {
      PlaceLayerRequest request = Request(layer, AliasKind::kBlob);
      // Who builds goes on when the other is seen to wait for it.
      request.open = [&waited, open = request.open] {
        while (!waited) std::this_thread::yield();
        return open();
      };
      request.waiting.waiting = [&waited](std::uint64_t) {
        waited = true;
        return Status::Ok();
      };
      testing::CountingMonitor monitor;
      Result<PlacedLayer> mine = PlaceLayer(*participants.at(i), request, monitor);
      ASSERT_TRUE(mine.ok()) << mine.status().ToString();
      placed.at(i) = *std::move(mine);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(opened_, 1);
  EXPECT_EQ(placed[0]->use.ref(), placed[1]->use.ref());
  EXPECT_EQ(placed[0]->root, placed[1]->root);
  EXPECT_EQ(placed[0]->tar_bytes, placed[1]->tar_bytes);
  EXPECT_EQ(placed[0]->built.has_value(), placed[0]->how == How::kBuilt);
  EXPECT_NE(placed[0]->how == How::kBuilt, placed[1]->how == How::kBuilt);
  EXPECT_NE(placed[0]->how == How::kWaited, placed[1]->how == How::kWaited);
}

TEST_F(PlaceLayerTest, ALayerMayHaveNoBytes) {
  const auto one = Attach(1);
  const Layer empty("", "");
  for (const How how : {How::kBuilt, How::kFound}) {
    const Result<PlacedLayer> placed = Place(*one, empty, AliasKind::kDiffId);
    ASSERT_TRUE(placed.ok()) << placed.status().ToString();
    EXPECT_EQ(placed->how, how);
    EXPECT_EQ(placed->tar_bytes, 0U);
    EXPECT_EQ(placed->diff_id, empty.diff_id);
  }
}

TEST_F(PlaceLayerTest, AnImageThatIsNotOfThatLayerIsNotTaken) {
  const Layer layer = Zipped();
  const struct {
    AliasKind kind;
    std::optional<format::SourceInfo> source;
    const char* message;
  } table[] = {
      {AliasKind::kDiffId, std::nullopt, "does not say which layer"},
      {AliasKind::kDiffId, testing::SourceOf("another"), "was made of the layer sha256:"},
      {AliasKind::kBlob, testing::SourceOf("another one"), "was made of the layer sha256:"},
  };
  for (const auto& row : table) {
    const auto me = Attach(1);
    const PlaceLayerRequest request = Request(layer, row.kind);
    PutImage(*me, request.key, row.source);
    const Result<PlacedLayer> placed = Place(*me, layer, row.kind);
    EXPECT_EQ(placed.status().code(), StatusCode::kDataLoss);
    EXPECT_THAT(placed.status().message(), HasSubstr(row.message));
    EXPECT_THAT(placed.status().message(), HasSubstr(pool::DigestText(request.key.digest)));
    EXPECT_EQ(me->DropHolds(pool::HoldKind::kAdmin, "kept"), 1U);
    ASSERT_TRUE(me->RemoveName("kept").ok());
    EXPECT_EQ(me->Collect({}).size(), 1U);
  }
  EXPECT_EQ(opened_, 0);
}

TEST_F(PlaceLayerTest, TheKeyIsOneOfTheDigests) {
  const auto me = Attach(1);
  const Layer layer = Zipped();
  PlaceLayerRequest request = Request(layer, AliasKind::kDiffId);
  for (const pool::Key& key : {pool::Key{AliasKind::kDiffId, layer.stored_digest->bytes},
                               pool::Key{AliasKind::kBlob, layer.diff_id->bytes},
                               pool::Key{AliasKind::kRoot, layer.diff_id->bytes}}) {
    request.key = key;
    testing::CountingMonitor monitor;
    EXPECT_EQ(PlaceLayer(*me, request, monitor).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(opened_, 0);
}

TEST_F(PlaceLayerTest, OverOthersDirectoriesNobodyNamedAreTheirs) {
  const auto one = Attach(1);
  const Layer layer = Zipped();
  testing::CountingMonitor monitor;
  const PlaceLayerRequest request = Request(layer, AliasKind::kBlob);
  Below none;
  none.find = [](const std::string&) { return std::optional<LowerDirectory>(); };
  Below sticky;
  sticky.find = [](const std::string& path) -> Result<std::optional<LowerDirectory>> {
    if (path != "a") return std::optional<LowerDirectory>();
    LowerDirectory lower;
    lower.attributes.mode = kTypeDirectory | 01777U;
    return std::optional<LowerDirectory>(lower);
  };
  Result<PlacedLayer> plain = PlaceLayerOver(*one, request, none, monitor);
  ASSERT_TRUE(plain.ok()) << plain.status().ToString();
  EXPECT_EQ(plain->implicit_directories, 5U);
  EXPECT_EQ(opened_, 1);
  const Result<PlacedLayer> over = PlaceLayerOver(*one, request, sticky, monitor);
  ASSERT_TRUE(over.ok()) << over.status().ToString();
  EXPECT_EQ(over->implicit_directories, 4U);
  EXPECT_EQ(over->diff_id, plain->diff_id);
  EXPECT_EQ(over->tar_bytes, plain->tar_bytes);
  EXPECT_NE(over->root, plain->root);
  EXPECT_EQ(opened_, 2);
  // By what it was made of it is the plain one that is found.
  const Result<std::optional<pool::Use>> found =
      one->Find({AliasKind::kBlob, layer.stored_digest->bytes});
  EXPECT_EQ((*found)->ref(), plain->use.ref());
  EXPECT_EQ(PlaceLayerOver(*one, request, sticky, monitor)->how, How::kFound);
}

TEST_F(PlaceLayerTest, WithNothingBelowNoMarksStay) {
  const auto one = Attach(1);
  testing::CountingMonitor monitor;
  const auto layer = [](const TarBuilder& tar) {
    const std::string bytes = tar.Finish();
    return Layer(bytes, oci::testing::Gzip(bytes));
  };
  const struct {
    TarBuilder tar;
    bool differs;
  } table[] = {
      {TarBuilder().File("a/b", "x"), false},
      {TarBuilder().File("a/.wh.b", ""), true},
      {TarBuilder().File("a/.wh..wh..opq", ""), true},
      {TarBuilder().Add(oci::testing::Owned('3', "device", 0, 0, 0)), false},
  };
  for (const auto& row : table) {
    const PlaceLayerRequest request = Request(layer(row.tar), AliasKind::kBlob);
    const Result<PlacedLayer> plain = PlaceLayer(*one, request, monitor);
    ASSERT_TRUE(plain.ok()) << plain.status().ToString();
    for (int again = 0; again < 2; ++again) {
      const Result<PlacedLayer> lowest = PlaceLayerOver(*one, request, {.nothing = true}, monitor);
      ASSERT_TRUE(lowest.ok()) << lowest.status().ToString();
      EXPECT_EQ(lowest->root != plain->root, row.differs);
      EXPECT_EQ(lowest->diff_id, plain->diff_id);
      EXPECT_EQ(lowest->tar_bytes, plain->tar_bytes);
    }
  }
  // It may delete what it has itself, which no layer over others may.
  const Layer own = layer(TarBuilder().File("a", "x").File(".wh.a", ""));
  const PlaceLayerRequest request = Request(own, AliasKind::kBlob);
  EXPECT_EQ(PlaceLayerOver(*one, request, {}, monitor).status().code(),
            StatusCode::kInvalidArgument);
  const Result<PlacedLayer> lowest = PlaceLayerOver(*one, request, {.nothing = true}, monitor);
  ASSERT_TRUE(lowest.ok()) << lowest.status().ToString();
  EXPECT_EQ(lowest->diff_id, own.diff_id);
  EXPECT_EQ(lowest->tar_bytes, own.tar.size());
}

}  // namespace
}  // namespace daxfs::convert
