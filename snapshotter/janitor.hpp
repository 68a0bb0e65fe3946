// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"

namespace daxfs::snapshotter {

// Does what may take long, or may fail now and work later, in a thread of its own: once for each
// number it is told, and again for those it failed for when Drain is called.
class Janitor {
 public:
  using Work = std::function<Status(std::int64_t id)>;

  // `what`: for the log, "removing snapshot". Borrows the log.
  Janitor(std::string what, Work work, base::Logger& log);
  // What is left is done by the next one that is told.
  ~Janitor();

  void Add(std::int64_t id);
  // Waits until everything told so far was tried, what failed before once more.
  void Drain();

 private:
  void Run();

  const std::string what_;
  const Work work_;
  base::Logger& log_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::int64_t> waiting_;  // under mutex_, as all below
  std::vector<std::int64_t> failed_;
  std::uint64_t told_ = 0;   // so many were added to waiting_
  std::uint64_t tried_ = 0;  // and so many of them tried
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace daxfs::snapshotter
