// SPDX-License-Identifier: Apache-2.0
#include "common/os/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/os/testing/manual_clock.hpp"

namespace daxfs::os {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Captured final : public base::LogSink {
 public:
  void Write(std::string_view text) override { texts.emplace_back(text); }
  std::vector<std::string> texts;
};

class ProgressTest : public ::testing::Test {
 protected:
  Progress Make(Progress::Options options) { return {log_, bar_, clock_, interrupted_, options}; }

  Captured lines_;
  Captured bar_;
  base::Logger log_{lines_, {}};
  testing::ManualClock clock_;
  std::atomic<bool> interrupted_{false};
};

TEST_F(ProgressTest, ABarOnATerminal) {
  Progress progress = Make({.terminal = true, .quiet = false});
  progress.Begin("layer 1 of 2", 1000);
  clock_.Advance(50);
  EXPECT_TRUE(progress.Advance(100, 1).ok());
  EXPECT_THAT(bar_.texts, IsEmpty());  // too early
  clock_.Advance(450);
  EXPECT_TRUE(progress.Advance(150, 1).ok());
  ASSERT_EQ(bar_.texts.size(), 1U);
  EXPECT_THAT(bar_.texts[0], HasSubstr("layer 1 of 2  [######..................]  25%"));
  EXPECT_THAT(bar_.texts[0], HasSubstr("250 B  2 files  500 B/s"));
  progress.End();
  EXPECT_THAT(bar_.texts.back(), "\r\033[K");
  EXPECT_THAT(lines_.texts, IsEmpty());
}

TEST_F(ProgressTest, NoTotalNoBar) {
  Progress progress = Make({.terminal = true, .quiet = false});
  progress.Begin("/tree", 0);
  clock_.Advance(1000);
  EXPECT_TRUE(progress.Advance(2048, 0).ok());
  EXPECT_THAT(bar_.texts, ElementsAre("\r\033[K/tree  2.0 KiB  0 files  2.0 KiB/s"));
}

TEST_F(ProgressTest, LinesElsewhere) {
  Progress progress = Make({.terminal = false, .quiet = false});
  progress.Begin("/tree", 0);
  clock_.Advance(9999);
  EXPECT_TRUE(progress.Advance(1, 0).ok());
  EXPECT_THAT(lines_.texts, IsEmpty());
  clock_.Advance(1);
  EXPECT_TRUE(progress.Advance(1, 0).ok());
  EXPECT_THAT(lines_.texts, ElementsAre("info: working step=/tree source_bytes=2 files=0"));
  EXPECT_THAT(bar_.texts, IsEmpty());
}

TEST_F(ProgressTest, QuietIsQuiet) {
  Progress progress = Make({.terminal = true, .quiet = true});
  progress.Begin("x", 0);
  clock_.Advance(100000);
  EXPECT_TRUE(progress.Advance(1, 0).ok());
  progress.End();
  EXPECT_THAT(bar_.texts, IsEmpty());
}

TEST_F(ProgressTest, StepsAddUp) {
  Progress progress = Make({});
  progress.Begin("1", 0);
  EXPECT_TRUE(progress.Advance(10, 1).ok());
  progress.End();
  clock_.Advance(5);
  progress.Begin("2", 0);
  EXPECT_TRUE(progress.Advance(5, 2).ok());
  EXPECT_EQ(progress.all_bytes(), 15U);
  EXPECT_EQ(progress.all_entries(), 3U);
  EXPECT_EQ(progress.all_ms(), 5);
}

TEST_F(ProgressTest, AnInterruptionEndsTheWork) {
  Progress progress = Make({});
  progress.Begin("x", 0);
  interrupted_ = true;
  EXPECT_EQ(progress.Advance(0, 1).code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace daxfs::os
