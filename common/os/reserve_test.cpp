// SPDX-License-Identifier: Apache-2.0
#include "common/os/reserve.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

constexpr std::uint64_t kBytes = 1U << 20U;

std::uint64_t BytesOf(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

TEST(Reserve, TakesRoomAndGivesItBackByParts) {
  const testing::Scratch scratch;
  const std::string path = scratch.Path("reserve");
  Reserve reserve(path, kBytes, 3);
  EXPECT_FALSE(reserve.Release());
  for (int i = 0; i < 2; ++i) {
    reserve.Keep();
    reserve.Keep();
    for (std::uint64_t parts = 3; parts > 0; --parts) {
      EXPECT_EQ(BytesOf(path), parts * kBytes);
      EXPECT_TRUE(reserve.Release());
    }
    EXPECT_EQ(BytesOf(path), 0U);
    EXPECT_FALSE(reserve.Release());
  }
  // Of a process before.
  Reserve(path, kBytes, 2).Keep();
  EXPECT_TRUE(reserve.Release());
  EXPECT_EQ(BytesOf(path), kBytes);
  reserve.Keep();
  EXPECT_EQ(BytesOf(path), 3 * kBytes);
}

TEST(Reserve, WhereThereIsNoRoomThereIsNone) {
  const testing::Scratch scratch;
  Reserve(scratch.Path("reserve"), std::uint64_t{1} << 60U, 2).Keep();
  EXPECT_EQ(BytesOf(scratch.Path("reserve")), 0U);
  Reserve nowhere(scratch.Path("none/reserve"), kBytes, 1);
  nowhere.Keep();
  EXPECT_FALSE(nowhere.Release());
}

}  // namespace
}  // namespace daxfs::os
