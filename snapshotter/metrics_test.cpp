// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace daxfs::snapshotter {
namespace {

using testing::HasSubstr;
using testing::Not;

// Fails as it is told.
class FakeMounter final : public Mounter {
 public:
  explicit FakeMounter(const Status& status) : status_(status) {}
  const char* name() const override { return "fake"; }
  Status Mount(const oci::Digest& /*root*/, const std::string& /*path*/) override {
    return status_;
  }
  Status Unmount(const std::string& /*path*/) override { return UnimplementedError("no"); }

 private:
  const Status status_;
};

class MetricsTest : public testing::Test {
 protected:
  // The value of a line that begins so.
  std::string Value(const std::string& name) const {
    const std::string text = metrics_.Text(sources_);
    const std::size_t at = text.find("\n" + name + " ");
    if (at == std::string::npos) return "none in:\n" + text;
    const std::size_t begin = at + name.size() + 2;
    return text.substr(begin, text.find('\n', begin) - begin);
  }
  static Sight Of(Kind kind, Sight::State state) {
    Sight sight;
    sight.snapshot.info.kind = kind;
    sight.state = state;
    return sight;
  }

  Metrics metrics_{"1.2"};
  std::vector<Sight> sights_;
  std::optional<pool::UsageView> usage_;
  Sources sources_{[this] { return sights_; }, [this] { return usage_; }};
};

TEST_F(MetricsTest, WhatIsRunning) {
  EXPECT_EQ(Value("daxfs_snapshotter_build_info{version=\"1.2\"}"), "1");
}

TEST_F(MetricsTest, CallsByMethodAndCode) {
  metrics_.Ended("Stat", "k", Status::Ok(), std::chrono::milliseconds(2));
  metrics_.Ended("Stat", "k", NotFoundError("no"), std::chrono::milliseconds(2000));
  metrics_.Ended("Mounts", "k", Status::Ok(), std::chrono::milliseconds(1));
  EXPECT_EQ(Value("daxfs_snapshotter_calls_total{code=\"OK\",method=\"Stat\"}"), "1");
  EXPECT_EQ(Value("daxfs_snapshotter_calls_total{code=\"NOT_FOUND\",method=\"Stat\"}"), "1");
  EXPECT_EQ(Value("daxfs_snapshotter_call_seconds_count{method=\"Stat\"}"), "2");
  EXPECT_EQ(Value("daxfs_snapshotter_call_seconds_bucket{method=\"Stat\",le=\"0.0025\"}"), "1");
  EXPECT_EQ(Value("daxfs_snapshotter_call_seconds_bucket{method=\"Stat\",le=\"2.5\"}"), "2");
  EXPECT_EQ(Value("daxfs_snapshotter_call_seconds_count{method=\"Mounts\"}"), "1");
}

TEST_F(MetricsTest, LayersByHowTheyWereHad) {
  EXPECT_EQ(Value("daxfs_snapshotter_layers_total{how=\"built\"}"), "0");
  metrics_.Placed(pool::How::kBuilt, 1000);
  metrics_.Placed(pool::How::kBuilt, 24);
  metrics_.Placed(pool::How::kFound, 5000);
  metrics_.Placed(pool::How::kWaited, 5000);
  EXPECT_EQ(Value("daxfs_snapshotter_layers_total{how=\"built\"}"), "2");
  EXPECT_EQ(Value("daxfs_snapshotter_layers_total{how=\"found\"}"), "1");
  EXPECT_EQ(Value("daxfs_snapshotter_layers_total{how=\"waited\"}"), "1");
  EXPECT_EQ(Value("daxfs_snapshotter_layer_bytes_total"), "1024");
}

TEST_F(MetricsTest, MountsAreCountedAndPassedOn) {
  const auto good = CountMounts(std::make_unique<FakeMounter>(Status::Ok()), metrics_);
  const auto bad = CountMounts(std::make_unique<FakeMounter>(NotFoundError("no")), metrics_);
  EXPECT_STREQ(good->name(), "fake");
  EXPECT_TRUE(good->Mount({}, "/a").ok());
  EXPECT_TRUE(good->Mount({}, "/b").ok());
  EXPECT_EQ(bad->Mount({}, "/a").code(), StatusCode::kNotFound);
  EXPECT_EQ(good->Unmount("/a").code(), StatusCode::kUnimplemented);
  EXPECT_EQ(Value("daxfs_snapshotter_mounts_total{result=\"ok\"}"), "2");
  EXPECT_EQ(Value("daxfs_snapshotter_mounts_total{result=\"failed\"}"), "1");
}

TEST_F(MetricsTest, SnapshotsAsTheyAreNow) {
  EXPECT_THAT(metrics_.Text(sources_), Not(HasSubstr("snapshotter_snapshots{")));
  sights_ = {Of(Kind::kCommitted, Sight::State::kPlaced),
             Of(Kind::kCommitted, Sight::State::kPlaced),
             Of(Kind::kCommitted, Sight::State::kMissing),
             Of(Kind::kActive, Sight::State::kDirectory), Of(Kind::kView, Sight::State::kUnknown)};
  const auto value = [&](const std::string& kind, const std::string& state) {
    return Value("daxfs_snapshotter_snapshots{kind=\"" + kind + "\",state=\"" + state + "\"}");
  };
  EXPECT_EQ(value("committed", "placed"), "2");
  EXPECT_EQ(value("committed", "missing"), "1");
  EXPECT_EQ(value("active", "directory"), "1");
  EXPECT_EQ(value("view", "unknown"), "1");
}

TEST_F(MetricsTest, ThePoolIfThereIsOne) {
  EXPECT_THAT(metrics_.Text(sources_), Not(HasSubstr("pool_chunks")));
  usage_.emplace();
  usage_->chunks = 100;
  usage_->chunks_free = 60;
  usage_->chunks_split = 5;
  usage_->chunks_orphan = 4;
  usage_->chunks_damaged = 1;
  usage_->holds_used = 7;
  usage_->collectable_bytes = 4096;
  const std::vector<std::pair<std::string, std::string>> table = {
      {"pool_chunks{state=\"free\"}", "60"},   {"pool_chunks{state=\"split\"}", "5"},
      {"pool_chunks{state=\"whole\"}", "30"},  {"pool_chunks{state=\"orphan\"}", "4"},
      {"pool_chunks{state=\"damaged\"}", "1"}, {"pool_holds", "7"},
      {"pool_collectable_bytes", "4096"},
  };
  for (const auto& [name, value] : table) EXPECT_EQ(Value("daxfs_snapshotter_" + name), value);
}

TEST_F(MetricsTest, WhatCannotBeServed) {
  for (const char* address : {"256.0.0.1:1", "nowhere"}) {
    EXPECT_EQ(MetricsServer::Start(address, metrics_, sources_).status().code(),
              StatusCode::kInvalidArgument)
        << address;
  }
  const auto first = MetricsServer::Start("127.0.0.1:0", metrics_, sources_);
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_GT((*first)->port(), 0);
  const std::string taken = "127.0.0.1:" + std::to_string((*first)->port());
  EXPECT_EQ(MetricsServer::Start(taken, metrics_, sources_).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace daxfs::snapshotter
