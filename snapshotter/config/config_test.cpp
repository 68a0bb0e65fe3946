// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/config/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daxfs::snapshotter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Config, ReadsWhatItKnows) {
  const Result<Config> config = ParseConfig(
      "# all there is\nroot: /data/x\naddress: /run/x.sock\npool: p1\n"
      "overlay_options: [metacopy=on, a]\nbackend: fuse\nfuse_program: /f\n"
      "containerd: /c\ncontent: /d\nmetrics: 127.0.0.1:9464\nlog_level: error\n");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->root, "/data/x");
  EXPECT_EQ(config->address, "/run/x.sock");
  EXPECT_EQ(config->pool, "p1");
  EXPECT_EQ(config->backend, "fuse");
  EXPECT_EQ(config->fuse_program, "/f");
  EXPECT_EQ(config->containerd, "/c");
  EXPECT_EQ(config->content, "/d");
  EXPECT_EQ(config->metrics, "127.0.0.1:9464");
  EXPECT_EQ(config->log_level, base::LogLevel::kError);
  EXPECT_THAT(config->overlay_options, ElementsAre("metacopy=on", "a"));
  EXPECT_EQ(ParseConfig("# nothing\n")->root, "/var/lib/daxfs/snapshotter");
}

TEST(Config, RefusesTheRestWithItsLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"root: x", "line 1: root: wants an absolute path"},
      {"\naddress: [a]", "line 2: address: wants an absolute path"},
      {"pool: ''", "line 1: pool: wants a name"},
      {"backend: magic", "line 1: backend: wants auto, kernel or fuse"},
      {"content: x", "line 1: content: wants an absolute path"},
      {"overlay_options: a", "line 1: overlay_options: wants a list"},
      {"overlay_options: ['lowerdir=/etc']", "line 1: overlay_options: lowerdir is set by daxfs"},
      {"overlay_options: [metacopy=on,\n index=on]", "line 2: overlay_options: index is set by"},
      {"overlay_options: ['a,b']", "line 1: overlay_options: wants one option to an item"},
      {"overlay_options: ['']", "line 1: overlay_options: wants one"},
      {"overlay_options: [[a]]", "line 1: overlay_options: wants one"},
      {"root: /a:b", "line 1: root: may have no ':'"},
      {"root: '/a,b'", "line 1: root: may have no"},
      {"root: /a\nroot: /b", "line 2: root: is there twice"},
      {"metrics: 9464", "line 1: metrics: wants an address and a port"},
      {"metrics: ':1'", "line 1: metrics: wants"},
      {"metrics: 'a:'", "line 1: metrics: wants"},
      {"metrics: a:b", "line 1: metrics: wants"},
      {"metrics: a:65536", "line 1: metrics: wants"},
      {"metrics: [a]", "line 1: metrics: wants"},
      {"log_level: loud", "line 1: log_level: wants debug"},
      {"rooot: /x", "line 1: rooot: no such key"},
      {"- a", "wants `key: value` lines"},
      {"address: \"/x\npool: p\n", "line 1: address: holds what looks like another key"},
      {"root: /a\n---\npool: p\n", "a second document"},
      {"root: {", "line 1: end of map flow not found"},
  };
  for (const auto& [text, message] : cases) {
    const Status status = ParseConfig(text).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(status.message(), HasSubstr(message)) << text;
  }
}

TEST(Config, WhatNeedsARestart) {
  const Config now;
  EXPECT_THAT(ChangedForRestart(now, now), ElementsAre());
  const Config live = *ParseConfig("metrics: a:1\nlog_level: debug\noverlay_options: [a]\n");
  EXPECT_THAT(ChangedForRestart(now, live), ElementsAre());
  const Config other = *ParseConfig(
      "root: /a\naddress: /b\npool: p\nbackend: fuse\nfuse_program: /c\ncontainerd: /d\n"
      "content: /e\n");
  EXPECT_THAT(ChangedForRestart(now, other), ElementsAre("root", "address", "pool", "backend",
                                                         "fuse_program", "containerd", "content"));
}

}  // namespace
}  // namespace daxfs::snapshotter
