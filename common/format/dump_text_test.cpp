// SPDX-License-Identifier: Apache-2.0
#include "common/format/dump_text.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace daxfs::format {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

TEST(DumpTextTest, BytesBothWays) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", ""},
      {"plain!~", "plain!~"},
      {"a b", "a\\x20b"},
      {"\\", "\\x5c"},
      {std::string("\0\n\x7f\xff", 4), "\\x00\\x0a\\x7f\\xff"},
      {"caf\xc3\xa9", "caf\\xc3\\xa9"},
      {"a=b", "a=b"},
  };
  for (const auto& [bytes, text] : table) {
    EXPECT_EQ(EscapeBytes(bytes), text);
    EXPECT_EQ(*UnescapeBytes(text), bytes);
  }
  EXPECT_EQ(EscapeBytes("a=b", "="), "a\\x3db");
  EXPECT_EQ(*UnescapeBytes("a\\x3db", "="), "a=b");
}

TEST(DumpTextTest, OneSpellingOfBytes) {
  for (const char* text : {"\\", "\\x", "\\x0", "\\x0g", "\\xFF", "\\X00", "\\n", "\\\\", " ",
                           "\xc3", "\\x41", "\\x3d", "\\x2f"}) {
    EXPECT_EQ(UnescapeBytes(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(UnescapeBytes("a=b", "=").ok());
  EXPECT_FALSE(UnescapeBytes(std::string(1, '\0')).ok());
}

TEST(DumpTextTest, TimesBothWays) {
  const std::vector<std::pair<DumpTime, std::string>> table = {
      {{0, 0}, "0.000000000"},
      {{1700000000, 1}, "1700000000.000000001"},
      {{-1, 0}, "-1.000000000"},
      {{-1, 500000000}, "-0.500000000"},
      {{-2, 500000000}, "-1.500000000"},
      {{-2, 999999999}, "-1.000000001"},
      {{kMost, 999999999}, "9223372036854775807.999999999"},
      {{kLeast, 0}, "-9223372036854775808.000000000"},
      {{kLeast, 999999999}, "-9223372036854775807.000000001"},
  };
  for (const auto& [time, text] : table) {
    EXPECT_EQ(FormatDumpTime(time), text);
    EXPECT_EQ(*ParseDumpTime(text), time) << text;
  }
}

TEST(DumpTextTest, OneSpellingOfTimes) {
  for (const char* text :
       {"", "-", ".", "0", "0.", "0.0", "00.000000000", "+1.000000000", "-0.000000000",
        "1.0000000000", "1,000000000", "1.00000000a", " 1.000000000", "1.000000000 "}) {
    EXPECT_EQ(ParseDumpTime(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
  for (const char* text : {"9223372036854775808.000000000", "-9223372036854775808.000000001",
                           "99999999999999999999.000000000"}) {
    EXPECT_EQ(ParseDumpTime(text).status().code(), StatusCode::kOutOfRange) << text;
  }
}

TEST(DumpTextTest, Numbers) {
  EXPECT_EQ(*ParseDumpNumber("0", 0), 0U);
  EXPECT_EQ(*ParseDumpNumber("18446744073709551615", ~std::uint64_t{0}), ~std::uint64_t{0});
  for (const char* text : {"", "-1", "+1", "01", "0x1", "1 ", "1.0"}) {
    EXPECT_EQ(ParseDumpNumber(text, 100).status().code(), StatusCode::kInvalidArgument) << text;
  }
  for (const char* text : {"101", "18446744073709551616", "99999999999999999999999"}) {
    EXPECT_EQ(ParseDumpNumber(text, 100).status().code(), StatusCode::kOutOfRange) << text;
  }
}

TEST(DumpTextTest, Order) {
  const std::vector<std::string> ascending = {"/",   "/a",  "/a/b", "/a/b/c", "/a/b!",
                                              "/a!", "/a0", "/b",   "/\xff"};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      EXPECT_EQ(ComesBefore(ascending[i], ascending[j]), i < j)
          << ascending[i] << " " << ascending[j];
    }
  }
}

}  // namespace
}  // namespace daxfs::format
