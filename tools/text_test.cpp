// SPDX-License-Identifier: Apache-2.0
#include "tools/text.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace daxfs::tools {
namespace {

TEST(TextTest, Modes) {
  EXPECT_EQ(ModeText(0100644), "-rw-r--r--");
  EXPECT_EQ(ModeText(0104755), "-rwsr-xr-x");
  EXPECT_EQ(ModeText(0102644), "-rw-r-Sr--");
  EXPECT_EQ(ModeText(0041777), "drwxrwxrwt");
  EXPECT_EQ(ModeText(0041776), "drwxrwxrwT");
  EXPECT_EQ(ModeText(0020000), "c---------");
  EXPECT_EQ(TypeText(0010000), "fifo");
  EXPECT_EQ(TypeText(0030000), "unknown");
}

TEST(TextTest, TimesAreUtc) {
  EXPECT_EQ(TimeText(0, 0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(TimeText(-1, 999999999), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(TimeText(1709208000, 1), "2024-02-29T12:00:00.000000001Z");
  EXPECT_EQ(TimeText(253402300800, 0), "10000-01-01T00:00:00.000000000Z");
  EXPECT_FALSE(TimeText(std::numeric_limits<std::int64_t>::min(), 0).empty());
  EXPECT_FALSE(TimeText(std::numeric_limits<std::int64_t>::max(), 0).empty());
}

TEST(TextTest, NamesCannotWriteToTheTerminal) {
  EXPECT_EQ(PrintableName("a\033[2J\n\xff\\\xc3\xa9"), "a\\x1b[2J\\x0a\\xff\\x5c\xc3\xa9");
}

TEST(TextTest, Ages) {
  constexpr std::uint64_t kNow = 1000000;
  EXPECT_EQ(Ago(0, kNow), "never");
  EXPECT_EQ(Ago(kNow, kNow), "0 s ago");
  EXPECT_EQ(Ago(kNow - 119, kNow), "119 s ago");
  EXPECT_EQ(Ago(kNow - 120, kNow), "2 min ago");
  EXPECT_EQ(Ago(kNow - 7200, kNow), "2 h ago");
  EXPECT_EQ(Ago(kNow - 172800, kNow), "2 d ago");
  EXPECT_EQ(Ago(kNow + 1, kNow), "to come");
}

TEST(TextTest, LinesFitTheColumns) {
  EXPECT_EQ(FitColumns("", 5), "");
  EXPECT_EQ(FitColumns("12345\n123456\n\n1", 5), "12345\n1234…\n\n1");
  EXPECT_EQ(FitColumns("äöüß\näöüß5", 4), "äöüß\näöü…");
  EXPECT_EQ(FitColumns("\xff\xff\xff\n", 2), "\xff…\n");
}

TEST(TextTest, RowsFitAndTheRestIsCounted) {
  EXPECT_EQ(FitRows("a\nb\nc\n", 3), "a\nb\nc\n");
  EXPECT_EQ(FitRows("a\nb\nc\n", 2), "a\n… 2 more lines\n");
  EXPECT_EQ(FitRows("a\nb\n", 1), "… 2 more lines\n");
}

TEST(TextTest, OneIsNoPlural) {
  EXPECT_EQ(Counted(0, "chunk"), "0 chunks");
  EXPECT_EQ(Counted(1, "chunk"), "1 chunk");
  EXPECT_EQ(Counted(2, "chunk"), "2 chunks");
  EXPECT_EQ(Counted(1, "alias"), "1 alias");
  EXPECT_EQ(Counted(3, "alias"), "3 aliases");
}

}  // namespace
}  // namespace daxfs::tools
