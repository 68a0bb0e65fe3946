// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/base/log.hpp"
#include "common/base/status.hpp"

namespace daxfs::snapshotter {

// Does what may take long, or may fail now and work later, in a thread of its own: once for each
// number it is told, and again for those it failed for when Drain or Retry is called. The log has
// a failure once, until it is another.
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
  // Waits until at most `most` of what was told so far are yet to be tried. What has failed was
  // tried: nobody waits for what never works.
  void Await(std::uint64_t most);
  // Tries once more, in its thread, what failed before, if how it failed says that it is worth it.
  void Retry(const std::function<bool(const Status&)>& worth);
  // How it went with `id`, waiting no longer than that until it was tried; nothing if it was not.
  std::optional<Status> Outcome(std::int64_t id, std::chrono::milliseconds patience);
  // Whether it is told and yet to be tried.
  bool IsWaiting(std::int64_t id);
  // Of the last time it was tried; Ok if it was not.
  Status Failure(std::int64_t id);

 private:
  void Run();
  void RetryLocked(const std::function<bool(const Status&)>& worth);
  void AwaitLocked(std::unique_lock<std::mutex>& lock, std::uint64_t most);
  bool IsWaitingLocked(std::int64_t id) const;
  Status FailureLocked(std::int64_t id) const;

  const std::string what_;
  const Work work_;
  base::Logger& log_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::int64_t> waiting_;  // under mutex_, as all below
  std::optional<std::int64_t> running_;
  std::map<std::int64_t, Status> failed_;
  std::uint64_t told_ = 0;   // so many were added to waiting_
  std::uint64_t tried_ = 0;  // and so many of them tried
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace daxfs::snapshotter
