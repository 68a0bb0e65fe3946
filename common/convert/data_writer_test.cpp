// SPDX-License-Identifier: Apache-2.0
#include "common/convert/data_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>

#include "common/os/testing/memory_file.hpp"

namespace daxfs::convert {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kGranule = 65536;
constexpr std::uint64_t kChunk = std::uint64_t{2} << 20U;

// A writer over memory; files are given as strings.
class DataWriterTest : public ::testing::Test {
 protected:
  DataId Write(const std::string& content, std::size_t step = std::size_t{1} << 30U) {
    const auto bytes = std::as_bytes(std::span(content));
    EXPECT_TRUE(writer_.Begin(content.size()).ok());
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      EXPECT_TRUE(writer_.Append(bytes.subspan(at, std::min(step, bytes.size() - at))).ok());
    }
    return *writer_.End();
  }

  // What a reader of the extents sees.
  std::string Read(DataId id, std::uint64_t size) {
    std::string content(size, '\0');
    for (const Extent& extent : writer_.ExtentsOf(id)) {
      std::vector<std::byte> bytes(extent.length);
      EXPECT_TRUE(sink_.Read(extent.offset, bytes).ok());
      const std::uint64_t n = std::min(extent.length, size - extent.logical);
      content.replace(extent.logical, n, reinterpret_cast<const char*>(bytes.data()), n);
    }
    return content;
  }

  std::vector<std::pair<std::uint64_t, std::uint64_t>> Places(DataId id) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
    for (const Extent& extent : writer_.ExtentsOf(id)) {
      places.emplace_back(extent.logical, extent.length);
    }
    return places;
  }

  os::testing::MemoryFileState state_;
  FileSink sink_{std::make_unique<os::testing::MemoryFile>(state_)};
  LayoutOptions options_{.huge_min_bytes = 8 * kChunk / 2, .data_align_shift = 12};
  DataWriter writer_{sink_, options_};
};

using Pairs = std::pair<std::uint64_t, std::uint64_t>;

TEST_F(DataWriterTest, FilesOfZerosTakeNoData) {
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{70000}, std::size_t{3000000}, std::size_t{20000000}}) {
    EXPECT_EQ(Write(std::string(size, '\0')), kNoData) << size;
  }
  EXPECT_EQ(writer_.Finish()->data_end, 4096U);
}

TEST_F(DataWriterTest, GranulesOfZerosBecomeHoles) {
  for (const std::uint64_t size : {8 * kGranule, 40 * kGranule}) {  // held and streamed
    std::string content(size, '\0');
    content[kGranule] = 'a';
    content[4 * kGranule - 1] = 'b';  // its granule begins with zeros
    content[size - 1] = 'c';
    const DataId id = Write(content, 1000);
    EXPECT_THAT(Places(id), ElementsAre(Pairs(kGranule, kGranule), Pairs(3 * kGranule, kGranule),
                                        Pairs(size - kGranule, kGranule)));
    EXPECT_EQ(Read(id, size), content);
  }
}

TEST_F(DataWriterTest, HugeFilesHaveHolesOfChunksOnly) {
  std::string content(6 * kChunk + 10, '\0');
  content[kChunk + 5 * kGranule] = 'a';
  content[5 * kChunk] = 'b';
  const DataId id = Write(content, 100000);
  EXPECT_THAT(Places(id), ElementsAre(Pairs(kChunk, kChunk), Pairs(5 * kChunk, kChunk)));
  for (const Extent& extent : writer_.ExtentsOf(id)) EXPECT_EQ(extent.offset % kChunk, 0U);
  EXPECT_EQ(Read(id, content.size()), content);
}

TEST_F(DataWriterTest, AHoleIsTheSameHoweverItArrives) {
  std::string content(50 * kGranule + 7, '\0');
  content[10 * kGranule + 3] = 'x';
  const DataId first = Write(content);
  ASSERT_TRUE(writer_.Begin(content.size()).ok());
  const auto bytes = std::as_bytes(std::span(content));
  ASSERT_TRUE(writer_.AppendZeros(10 * kGranule + 1).ok());
  ASSERT_TRUE(writer_.Append(bytes.subspan(10 * kGranule + 1, 100)).ok());
  ASSERT_TRUE(writer_.AppendZeros(content.size() - 10 * kGranule - 101).ok());
  EXPECT_EQ(*writer_.End(), first);
  EXPECT_EQ(Write(content, 4097), first);
  EXPECT_THAT(Places(first), ElementsAre(Pairs(10 * kGranule, kGranule)));
}

TEST_F(DataWriterTest, AHoleOfExabytesCostsNothing) {
  const std::uint64_t size = std::uint64_t{1} << 61U;
  ASSERT_TRUE(writer_.Begin(size).ok());
  ASSERT_TRUE(writer_.AppendZeros(size - 1).ok());
  const std::byte last{1};
  ASSERT_TRUE(writer_.Append(std::span(&last, 1)).ok());
  const DataId id = *writer_.End();
  EXPECT_THAT(Places(id), ElementsAre(Pairs(size - kChunk, kChunk)));
}

// An extent behind a hole must not start on a chunk, or a kernel might map more than the file
// there.
TEST_F(DataWriterTest, NoExtentOfASmallFileStartsOnAChunk) {
  options_.data_align_shift = 16;
  DataWriter writer(sink_, options_);
  std::string content(60 * kGranule, 'd');
  for (std::uint64_t granule = 1; granule < 59; granule += 2) {
    content.replace(granule * kGranule, kGranule, kGranule, '\0');
  }
  const auto bytes = std::as_bytes(std::span(content));
  for (int i = 0; i < 40; ++i) {
    content[0] = static_cast<char>(i);
    ASSERT_TRUE(writer.Begin(content.size()).ok());
    ASSERT_TRUE(writer.Append(bytes).ok());
    const DataId id = *writer.End();
    for (const Extent& extent : writer.ExtentsOf(id)) {
      ASSERT_NE(extent.offset % kChunk, 0U);
      ASSERT_EQ(extent.offset % kGranule, 0U);
    }
  }
  ASSERT_TRUE(writer.Finish().ok());
}

TEST_F(DataWriterTest, EqualFilesShareAlsoWhereTheirHolesDiffer) {
  std::string content(60 * kGranule, '\0');
  for (std::uint64_t granule = 0; granule < 60; granule += 2) content[granule * kGranule] = 'x';
  const DataId first = Write(content);
  EXPECT_EQ(Write(content, 5000), first);
  content[59 * kGranule] = 'y';
  EXPECT_NE(Write(content), first);
}

TEST_F(DataWriterTest, TooMuchAndTooLittle) {
  const std::string content(10, 'x');
  const auto bytes = std::as_bytes(std::span(content));
  ASSERT_TRUE(writer_.Begin(5).ok());
  EXPECT_EQ(writer_.Append(bytes).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(writer_.AppendZeros(6).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(writer_.End().status().code(), StatusCode::kDataLoss);
  ASSERT_TRUE(writer_.Begin(5000000).ok());
  EXPECT_EQ(writer_.AppendZeros(5000001).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(writer_.End().status().code(), StatusCode::kDataLoss);
}

// The generator of the hash, its highest power first: XORed into a file anywhere it changes no
// hash.
std::string WithEqualHash(std::string content, std::size_t at) {
  constexpr std::uint64_t kReflected = 0xC96C5795D7870F42;  // ECMA-182
  const std::uint64_t low = (kReflected << 1U) | 1U;
  for (std::size_t i = 0; i < 8; ++i) content[at + i] ^= static_cast<char>(low >> (8 * i));
  content[at + 8] ^= static_cast<char>(kReflected >> 63U);
  return content;
}

TEST_F(DataWriterTest, ManyFilesOfOneHashAreToldApartAndReleased) {
  const std::string base(4096, 'x');
  std::vector<std::string> contents = {base};
  std::vector<DataId> ids = {Write(base)};
  for (std::size_t i = 1; i < 20; ++i) {
    contents.push_back(WithEqualHash(base, i * 16));
    ids.push_back(Write(contents.back()));
    EXPECT_NE(ids[i], ids[i - 1]);
  }
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(Read(ids[i], 4096), contents[i]) << i;
  for (const DataId id : ids) writer_.Release(id);
  EXPECT_EQ(Read(Write(contents[7]), 4096), contents[7]);
}

TEST_F(DataWriterTest, WhatIsReleasedIsForgotten) {
  const DataId kept = Write("kept");
  DataId highest = 0;
  for (int i = 0; i < 20000; ++i) {
    const DataId id = Write("file " + std::to_string(i));
    highest = std::max(highest, id);
    writer_.Release(id);
  }
  EXPECT_EQ(Read(kept, 4), "kept");
  EXPECT_LE(highest, kept + 1);
}

TEST_F(DataWriterTest, RandomFilesReadBack) {
  std::mt19937_64 random(3);
  std::vector<std::pair<DataId, std::string>> live;
  for (int i = 0; i < 120; ++i) {
    std::string content(random() % (std::uint64_t{1} << (8 + random() % 16)), '\0');
    for (std::uint64_t k = random() % 40; k > 0 && !content.empty(); --k) {
      content[random() % content.size()] = static_cast<char>(random());
    }
    live.emplace_back(Write(content, 1 + random() % 300000), content);
    if (random() % 3 == 0) {
      const std::size_t victim = random() % live.size();
      writer_.Release(live[victim].first);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(victim));
    }
  }
  for (const auto& [id, content] : live) ASSERT_EQ(Read(id, content.size()), content);
  const DataSummary summary = *writer_.Finish();
  for (const auto& [id, content] : live) ASSERT_EQ(Read(id, content.size()), content);
  EXPECT_EQ(summary.digests.size(), (summary.data_end + 65535) / 65536);
}

}  // namespace
}  // namespace daxfs::convert
