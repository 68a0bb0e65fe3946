// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/live.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/os/testing/scratch.hpp"
#include "snapshotter/no_images.hpp"

namespace daxfs::snapshotter {
namespace {

using testing::HasSubstr;
using testing::Not;

class Captured final : public base::LogSink {
 public:
  void Write(std::string_view line) override { text += std::string(line) + "\n"; }
  std::string text;
};

TEST(LiveTest, MetricsThatCouldNotBeServedAreTriedAgain) {
  const os::testing::Scratch scratch;
  Captured lines;
  base::Logger log(lines, {});
  NoImages images;
  const auto snapshotter = *Snapshotter::Open({scratch.Path("root"), {}}, images, log);
  Metrics metrics("1.2");
  const Sources sources = {[&] { return snapshotter->Look({}); }, [] { return std::nullopt; }};
  auto other = *MetricsServer::Start("127.0.0.1:0", metrics, sources);
  Config config;
  config.metrics = "127.0.0.1:" + std::to_string(other->port());
  Live live(config, *snapshotter, metrics, sources, log);
  EXPECT_THAT(lines.text, HasSubstr("no metrics are served"));
  other.reset();
  lines.text.clear();
  CommandLine again;
  again.config = config;
  live.Reload(again);
  EXPECT_THAT(lines.text, HasSubstr("serving metrics"));
  lines.text.clear();
  live.Reload(again);
  EXPECT_THAT(lines.text, Not(HasSubstr("serving metrics"))) << "they are served already";
  lines.text.clear();
  again.config.metrics = "192.0.2.1:0";  // of no host
  live.Reload(again);
  EXPECT_THAT(lines.text, HasSubstr("served where they were"));
  EXPECT_FALSE(MetricsServer::Start(config.metrics, metrics, sources).ok()) << "they still are";
}

}  // namespace
}  // namespace daxfs::snapshotter
