// SPDX-License-Identifier: Apache-2.0
#include "common/os/signal_watcher.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

namespace daxfs::os {
namespace {

TEST(SignalWatcherTest, SignalBecomesAFlag) {
  const std::unique_ptr<SignalWatcher> watcher = *SignalWatcher::Start();
  EXPECT_FALSE(watcher->interrupted().load());
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  for (int i = 0; i < 5000 && !watcher->interrupted().load(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(watcher->interrupted().load());
}

}  // namespace
}  // namespace daxfs::os
