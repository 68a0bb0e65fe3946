// SPDX-License-Identifier: Apache-2.0
#include "common/os/reserve.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

constexpr std::uint64_t kBytes = 1U << 20U;

std::uint64_t BytesOf(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

TEST(Reserve, TakesRoomAndGivesItBack) {
  const testing::Scratch scratch;
  const std::string path = scratch.Path("reserve");
  Reserve reserve(path, kBytes);
  EXPECT_FALSE(reserve.Release());
  for (int i = 0; i < 2; ++i) {
    reserve.Keep();
    reserve.Keep();
    EXPECT_GE(BytesOf(path), kBytes);
    EXPECT_TRUE(reserve.Release());
    EXPECT_EQ(BytesOf(path), 0U);
    EXPECT_FALSE(reserve.Release());
  }
  // Of a process before.
  Reserve(path, kBytes / 2).Keep();
  reserve.Keep();
  EXPECT_GE(BytesOf(path), kBytes);
}

TEST(Reserve, WhereThereIsNoRoomThereIsNone) {
  const testing::Scratch scratch;
  const std::string path = scratch.Path("reserve");
  Reserve reserve(path, std::uint64_t{1} << 60U);
  reserve.Keep();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  Reserve(scratch.Path("none/reserve"), kBytes).Keep();
  EXPECT_FALSE(reserve.Release());
}

}  // namespace
}  // namespace daxfs::os
