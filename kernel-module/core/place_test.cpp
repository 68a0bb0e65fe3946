// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A byte of an image becomes a byte of the device it lies on.
#include "place.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace daxfs::core_testing {
namespace {

constexpr __u64 kChunk = DAXFS_CHUNK_SIZE;
constexpr __u64 kData = 6 * kChunk;  // where chunk 0 is on the device

struct Row {
  __u64 offset, length;  // asked
  __u64 contiguous, at;  // answered
};

void Check(const daxfs_place& place, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    __u64 at = ~__u64{0};
    EXPECT_EQ(daxfs_place_at(&place, row.offset, row.length, &at), row.contiguous) << row.offset;
    if (row.contiguous != 0) {
      EXPECT_EQ(at, row.at) << row.offset;
    }
  }
}

TEST(Place, ARange) {
  daxfs_place place;
  daxfs_place_range(&place, 0, 3 * kChunk);
  Check(place, {{0, 4096, 4096, 0},
                {kChunk - 1, 2 * kChunk, 2 * kChunk, kChunk - 1},
                {3 * kChunk - 1, 2, 1, 3 * kChunk - 1},
                {3 * kChunk, 1, 0, 0},
                {~__u64{0}, ~__u64{0}, 0, 0},
                {1, ~__u64{0}, 3 * kChunk - 1, 1}});
  EXPECT_TRUE(daxfs_place_whole(&place, kChunk));
  EXPECT_FALSE(daxfs_place_whole(&place, kChunk + 4096));
  EXPECT_FALSE(daxfs_place_whole(&place, 3 * kChunk));
}

TEST(Place, ChunksSideBySideNeedNoTable) {
  const __u32 chunks[] = {7, 8, 9};
  daxfs_place place;
  daxfs_place_chunks(&place, kData, chunks, 3);
  EXPECT_EQ(place.chunks, nullptr);
  Check(place, {{0, 3 * kChunk, 3 * kChunk, kData + 7 * kChunk}, {3 * kChunk, 1, 0, 0}});
  EXPECT_TRUE(daxfs_place_whole(&place, 2 * kChunk));
}

TEST(Place, ChunksAnywhere) {
  const __u32 chunks[] = {5, 6, 2, 0, 1};
  daxfs_place place;
  daxfs_place_chunks(&place, kData, chunks, 5);
  ASSERT_EQ(place.chunks, chunks);
  Check(place, {{0, 4096, 4096, kData + 5 * kChunk},
                {10, 5 * kChunk, 2 * kChunk - 10, kData + 5 * kChunk + 10},
                {2 * kChunk - 1, 1, 1, kData + 7 * kChunk - 1},
                {2 * kChunk, 5 * kChunk, kChunk, kData + 2 * kChunk},
                {3 * kChunk + 9, 5 * kChunk, 2 * kChunk - 9, kData + 9},
                {4 * kChunk + 9, 5 * kChunk, kChunk - 9, kData + kChunk + 9},
                {5 * kChunk, 1, 0, 0}});
  for (__u64 chunk = 0; chunk < 5; ++chunk) EXPECT_TRUE(daxfs_place_whole(&place, chunk * kChunk));
  EXPECT_FALSE(daxfs_place_whole(&place, 4 * kChunk + 65536)) << "longer than the image";
  EXPECT_FALSE(daxfs_place_whole(&place, 5 * kChunk));
}

// As a kernel numbers them: by physical address.
TEST(Place, ChunksOfSeveralDevices) {
  const __u32 chunks[] = {0x7ffffffe, 0x7fffffff, 0xffffffff, 0x801};
  daxfs_place place;
  daxfs_place_chunks(&place, 0, chunks, 4);
  ASSERT_EQ(place.chunks, chunks);
  Check(place, {{0, 4 * kChunk, 2 * kChunk, 0x7ffffffe * kChunk},
                {2 * kChunk + 1, kChunk, kChunk - 1, 0xffffffff * kChunk + 1},
                {3 * kChunk, kChunk, kChunk, 0x801 * kChunk}});
  EXPECT_TRUE(daxfs_place_whole(&place, 2 * kChunk));
}

TEST(Place, OneChunk) {
  const __u32 chunks[] = {3};
  daxfs_place place;
  daxfs_place_chunks(&place, kData, chunks, 1);
  EXPECT_EQ(place.chunks, nullptr);
  Check(place, {{4096, kChunk, kChunk - 4096, kData + 3 * kChunk + 4096}});
}

TEST(Place, GranulesAreNeverWhole) {
  daxfs_place place;
  daxfs_place_granules(&place, kData, 3 * DAXFS_CHUNK_GRANULES, kChunk);
  EXPECT_FALSE(daxfs_place_whole(&place, 0));
  daxfs_place_granules(&place, kData, 3 * DAXFS_CHUNK_GRANULES + 5, 2 * DAXFS_GRANULE_SIZE);
  Check(place, {{100, kChunk, 2 * DAXFS_GRANULE_SIZE - 100,
                 kData + 3 * kChunk + 5 * DAXFS_GRANULE_SIZE + 100},
                {2 * DAXFS_GRANULE_SIZE, 1, 0, 0}});
}

}  // namespace
}  // namespace daxfs::core_testing
