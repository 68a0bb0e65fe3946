// SPDX-License-Identifier: Apache-2.0
#include "common/convert/layout_planner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace daxfs::convert {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = kKiB * 1024;
constexpr std::uint64_t kChunk = 2 * kMiB;

TEST(LayoutPlannerTest, SmallFilesFollowEachOther) {
  LayoutPlanner planner(4096, {});
  EXPECT_EQ(planner.Place(1)->offset, 4096U);
  EXPECT_EQ(planner.Place(4097)->offset, 8192U);
  EXPECT_EQ(planner.Place(4096)->offset, 16384U);
  EXPECT_EQ(planner.data_end(), 20480U);
  EXPECT_EQ(planner.waste_bytes(), 0U);
  EXPECT_THAT(planner.Unused(), IsEmpty());
}

TEST(LayoutPlannerTest, HugeFileOwnsItsChunksAndSmallOnesFillTheGapBefore) {
  LayoutPlanner planner(4096, {});
  ASSERT_TRUE(planner.Place(4096).ok());
  const Placement huge = *planner.Place(8 * kMiB + 1);
  EXPECT_TRUE(huge.huge);
  EXPECT_EQ(huge.offset, kChunk);
  EXPECT_EQ(huge.reserved_end, 6 * kChunk);
  EXPECT_EQ(planner.Place(10)->offset, 8192U);                  // into the gap
  EXPECT_EQ(planner.Place(kChunk)->offset, 6 * kChunk + 4096);  // does not fit it
  EXPECT_THAT(planner.Unused(),
              ElementsAre(Range{12288, kChunk}, Range{5 * kChunk + 4096, 6 * kChunk + 4096}));
  EXPECT_EQ(planner.waste_bytes(), kChunk - 12288 + kChunk);
}

TEST(LayoutPlannerTest, OnlyHugeFilesStartOnAChunk) {
  LayoutPlanner planner(4096, {});
  ASSERT_TRUE(planner.Place(kChunk - 4096).ok());
  const Placement next = *planner.Place(5000);
  EXPECT_EQ(next.offset, kChunk + 4096);
  EXPECT_FALSE(next.huge);
  EXPECT_THAT(planner.Unused(), ElementsAre(Range{kChunk, kChunk + 4096}));
}

TEST(LayoutPlannerTest, HugeCanBeSwitchedOff) {
  LayoutPlanner planner(4096, {.huge_min_bytes = 0, .data_align_shift = 12});
  EXPECT_EQ(planner.Place(64 * kMiB)->offset, 4096U);
}

TEST(LayoutPlannerTest, FreeAtTheTailUndoesEverything) {
  LayoutPlanner planner(4096, {});
  ASSERT_TRUE(planner.Place(4096).ok());
  const Placement huge = *planner.Place(9 * kMiB);
  planner.Free(huge);
  EXPECT_EQ(planner.data_end(), 8192U);
  EXPECT_THAT(planner.Unused(), IsEmpty());
  EXPECT_EQ(planner.Place(1)->offset, 8192U);
}

TEST(LayoutPlannerTest, FreedSpaceInsideIsUsedAgainOrReported) {
  LayoutPlanner planner(4096, {});
  const Placement first = *planner.Place(3 * 4096);
  ASSERT_TRUE(planner.Place(4096).ok());
  planner.Free(first);
  EXPECT_EQ(planner.waste_bytes(), 3U * 4096);
  EXPECT_EQ(planner.Place(4096)->offset, 4096U);
  EXPECT_THAT(planner.Unused(), ElementsAre(Range{8192, 16384}));
}

TEST(LayoutPlannerTest, AlignmentOf64KiB) {
  LayoutPlanner planner(4096, {.huge_min_bytes = 0, .data_align_shift = 16});
  EXPECT_EQ(planner.Place(1)->offset, 64 * kKiB);
  EXPECT_EQ(planner.Place(1)->offset, 128 * kKiB);
  EXPECT_THAT(planner.Unused(), ElementsAre(Range{4096, 64 * kKiB}, Range{68 * kKiB, 128 * kKiB},
                                            Range{132 * kKiB, 192 * kKiB}));
}

TEST(LayoutPlannerTest, ShrunkFilesGiveTheRestBack) {
  LayoutPlanner planner(4096, {});
  const Placement huge = planner.Shrink(*planner.Place(20 * kMiB), kChunk + 4096);
  EXPECT_EQ(huge.reserved_end, 3 * kChunk);
  EXPECT_EQ(planner.data_end(), 3 * kChunk);
  const Placement small = planner.Shrink(*planner.Place(kMiB), 4096);  // into the gap before
  EXPECT_EQ(small.offset, 4096U);
  EXPECT_EQ(planner.Place(4096)->offset, 8192U);
}

TEST(LayoutPlannerTest, RefusesWhatNoImageHolds) {
  LayoutPlanner planner(4096, {});
  EXPECT_EQ(planner.Place(~std::uint64_t{0}).status().code(), StatusCode::kResourceExhausted);
}

struct Live {
  std::uint64_t size;
  Placement placement;
};

// Live files and unused ranges tile the data area exactly, and the placement rules hold.
void CheckTiling(const LayoutPlanner& planner, const std::vector<Live>& live, std::uint64_t align) {
  std::vector<Range> all = planner.Unused();
  for (const Live& file : live) {
    const Placement& p = file.placement;
    all.push_back({p.offset, p.offset + p.length});
    ASSERT_EQ(p.offset % align, 0U);
    ASSERT_EQ(p.offset % kChunk == 0, p.huge);
    ASSERT_TRUE(!p.huge || p.reserved_end % kChunk == 0);
    ASSERT_LE(p.length, (file.size + 4095) / 4096 * 4096);
  }
  std::sort(all.begin(), all.end(),
            [](const Range& a, const Range& b) { return a.start < b.start; });
  std::uint64_t at = 4096;
  for (const Range& range : all) {
    ASSERT_EQ(range.start, at);
    at = range.end;
  }
  ASSERT_EQ(at, planner.data_end());
}

class LayoutPlannerRandom : public ::testing::TestWithParam<unsigned> {};

TEST_P(LayoutPlannerRandom, TilesTheDataArea) {
  const unsigned shift = GetParam();
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937_64 random(seed);
    LayoutPlanner planner(4096, {.huge_min_bytes = 3 * kMiB, .data_align_shift = shift});
    std::vector<Live> live;
    for (int step = 0; step < 300; ++step) {
      if (random() % 4 == 0 && !live.empty()) {
        const std::size_t victim = random() % live.size();
        planner.Free(live[victim].placement);
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(victim));
      } else {
        const std::uint64_t size = 1 + random() % (std::uint64_t{1} << (random() % 23));
        Placement placement = *planner.Place(size);
        if (random() % 3 == 0) {
          placement = planner.Shrink(placement, 4096 * (1 + random() % (placement.length / 4096)));
        }
        live.push_back({size, placement});
      }
      CheckTiling(planner, live, std::uint64_t{1} << shift);
      ASSERT_FALSE(HasFatalFailure()) << "seed " << seed << " step " << step;
    }
    while (!live.empty()) {
      planner.Free(live.back().placement);
      live.pop_back();
    }
    EXPECT_EQ(planner.data_end(), 4096U);
    EXPECT_THAT(planner.Unused(), IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Shifts, LayoutPlannerRandom, ::testing::Values(12U, 16U));

}  // namespace
}  // namespace daxfs::convert
