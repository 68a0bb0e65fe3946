// SPDX-License-Identifier: Apache-2.0
#include "common/base/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace daxfs::base {
namespace {

using ::testing::ElementsAre;

class CapturedSink final : public LogSink {
 public:
  void Write(std::string_view line) override { lines.emplace_back(line); }
  std::vector<std::string> lines;
};

TEST(LogTest, TextQuotesOnlyWhatNeedsIt) {
  CapturedSink sink;
  Logger log(sink, {});
  log.Info("converted", {{"layer", "sha256:ab"}, {"bytes", 12}, {"path", "a b\n"}, {"empty", ""}});
  EXPECT_THAT(sink.lines,
              ElementsAre(R"(info: converted layer=sha256:ab bytes=12 path="a b\u000a" empty="")"));
}

TEST(LogTest, JsonIsOneObjectALine) {
  CapturedSink sink;
  Logger log(sink, {.format = LogFormat::kJson});
  log.Error("failed \"x\"", {{"n", -3}, {"raw", "\xff\xc3\xa9"}});
  EXPECT_THAT(sink.lines, ElementsAre("{\"level\":\"error\",\"event\":\"failed \\\"x\\\"\","
                                      "\"n\":-3,\"raw\":\"\\ufffd\xc3\xa9\"}"));
}

TEST(LogTest, LevelsBelowAreDropped) {
  CapturedSink sink;
  Logger log(sink, {.level = LogLevel::kWarning});
  log.Debug("d");
  log.Info("i");
  log.Warning("w");
  log.Error("e");
  EXPECT_THAT(sink.lines, ElementsAre("warning: w", "error: e"));
  log.SetLevel(LogLevel::kDebug);
  log.Debug("d");
  EXPECT_EQ(sink.lines.back(), "debug: d");
}

TEST(LogTest, ColorOnlyWhenAsked) {
  CapturedSink sink;
  Logger log(sink, {.color = true});
  log.Error("e");
  EXPECT_THAT(sink.lines, ElementsAre("\033[31merror: e\033[0m"));
}

TEST(LogTest, Names) {
  EXPECT_EQ(*ParseLogLevel("warning"), LogLevel::kWarning);
  EXPECT_EQ(ParseLogLevel("loud").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(*ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_EQ(ParseLogFormat("xml").status().code(), StatusCode::kInvalidArgument);
}

TEST(LogTest, JsonQuoteReplacesIllFormedUtf8) {
  EXPECT_EQ(JsonQuote("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");  // a surrogate
  EXPECT_EQ(JsonQuote("\xc0\xaf"), "\"\\ufffd\\ufffd\"");             // overlong
  EXPECT_EQ(JsonQuote("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"");
}

}  // namespace
}  // namespace daxfs::base
