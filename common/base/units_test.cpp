// SPDX-License-Identifier: Apache-2.0
#include "common/base/units.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace daxfs::base {
namespace {

TEST(UnitsTest, Parses) {
  const struct {
    const char* text;
    std::uint64_t value;
  } cases[] = {
      {"0", 0},
      {"4096", 4096},
      {"8M", 8U << 20U},
      {"2g", 2ULL << 30U},
      {"1T", 1ULL << 40U},
      {"0x200000", 0x200000},
      {"0x10K", 16384},
      {"18446744073709551615", ~0ULL},
  };
  for (const auto& c : cases) {
    const Result<std::uint64_t> value = ParseSize(c.text);
    ASSERT_TRUE(value.ok()) << c.text;
    EXPECT_EQ(*value, c.value) << c.text;
  }
}

TEST(UnitsTest, Refuses) {
  for (const char* text : {"", "M", "0x", "-1", " 1", "1 M", "8MB", "1.5G", "8Q", "K8", "+1"}) {
    EXPECT_EQ(ParseSize(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
  for (const char* text : {"18446744073709551616", "16777216T", "0x10000000000000000"}) {
    EXPECT_EQ(ParseSize(text).status().code(), StatusCode::kOutOfRange) << text;
  }
}

TEST(UnitsTest, FormatReadsBack) {
  for (const std::uint64_t value :
       {0ULL, 1ULL, 4096ULL, 4097ULL, 8ULL << 20U, 3ULL << 40U, ~0ULL}) {
    EXPECT_EQ(*ParseSize(FormatSize(value)), value);
  }
  EXPECT_EQ(FormatSize(8U << 20U), "8M");
}

TEST(UnitsTest, Human) {
  EXPECT_EQ(HumanSize(312), "312 B");
  EXPECT_EQ(HumanSize(3 << 19), "1.5 MiB");
  EXPECT_EQ(HumanSize(200ULL << 30U), "200 GiB");
}

}  // namespace
}  // namespace daxfs::base
