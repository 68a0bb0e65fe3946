// SPDX-License-Identifier: Apache-2.0
#include "common/base/hex.hpp"

#include <gtest/gtest.h>

#include <array>

namespace daxfs::base {
namespace {

TEST(HexTest, RoundTrip) {
  std::array<std::byte, 4> bytes{};
  ASSERT_TRUE(FromHex("00ff7fa0", bytes).ok());
  EXPECT_EQ(ToHex(bytes), "00ff7fa0");
  EXPECT_EQ(ToHex({}), "");
}

TEST(HexTest, Refuses) {
  std::array<std::byte, 2> bytes{};
  for (const char* text : {"", "abc", "abcde", "00FF", "zz00", "00 0"}) {
    EXPECT_EQ(FromHex(text, bytes).code(), StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace daxfs::base
