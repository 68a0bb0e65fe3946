// SPDX-License-Identifier: Apache-2.0
#include "tools/record.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace daxfs::tools {
namespace {

std::string Digest(char digit) { return "sha256:" + std::string(64, digit); }

std::string Layer(const std::string& root, const std::string& diff_id, const std::string& size) {
  return R"({"root": ")" + root + R"(", "diff_id": ")" + diff_id + R"(", "size_bytes": )" + size +
         "}";
}

std::optional<Record> Parse(std::string_view text) {
  return ParseRecord(std::as_bytes(std::span(text)));
}

TEST(RecordTest, LayersInTheirOrder) {
  const std::optional<Record> record =
      Parse(R"({"layers": [)" + Layer(Digest('b'), Digest('1'), "7") + "," +
            Layer(Digest('a'), Digest('2'), "4096") + R"(], "config": {"x": []}})");
  ASSERT_TRUE(record);
  ASSERT_EQ(record->size(), 2U);
  EXPECT_EQ((*record)[0].digest, Digest('b'));
  EXPECT_EQ((*record)[0].diff_id, Digest('1'));
  EXPECT_EQ((*record)[1].digest, Digest('a'));
  EXPECT_EQ((*record)[1].size_bytes, 4096U);
  EXPECT_TRUE(Parse(R"({"layers": []})"));
}

TEST(RecordTest, WhatIsNone) {
  const std::vector<std::string> cases = {
      "",
      "\x89"
      "DAXFS",
      "[]",
      "{}",
      R"({"layers": 3})",
      R"({"layers": [3]})",
      R"({"layers": [{}]})",
      R"({"layers": [)" + Layer("../x", Digest('1'), "7") + "]}",
      R"({"layers": [)" + Layer(Digest('a'), "", "7") + "]}",
      R"({"layers": [)" + Layer(Digest('a'), Digest('1'), "-7") + "]}",
      R"({"layers": [)" + Layer(Digest('a'), Digest('1'), "7"),
  };
  for (const std::string& text : cases) EXPECT_FALSE(Parse(text)) << text;
}

}  // namespace
}  // namespace daxfs::tools
