// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/janitor.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace daxfs::snapshotter {
namespace {

// The border where exceptions of libraries end.
Status Guarded(const Janitor::Work& work, std::int64_t id) {
  try {
    return work(id);
  } catch (const std::exception& error) {
    return InternalError(error.what());
  }
}

}  // namespace

Janitor::Janitor(std::string what, Work work, base::Logger& log)
    : what_(std::move(what)), work_(std::move(work)), log_(log), thread_([this] { Run(); }) {}

Janitor::~Janitor() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Janitor::Add(std::int64_t id) {
  {
    const std::lock_guard lock(mutex_);
    // One that is being tried may have begun before what this is about.
    if (std::find(waiting_.begin(), waiting_.end(), id) != waiting_.end()) return;
    waiting_.push_back(id);
    ++told_;
  }
  changed_.notify_all();
}

void Janitor::RetryLocked(const std::function<bool(const Status&)>& worth) {
  for (const auto& [id, status] : failed_) {
    if (IsWaitingLocked(id) || !worth(status)) continue;
    waiting_.push_back(id);
    ++told_;
  }
  changed_.notify_all();
}

void Janitor::Retry(const std::function<bool(const Status&)>& worth) {
  const std::lock_guard lock(mutex_);
  RetryLocked(worth);
}

bool Janitor::IsWaitingLocked(std::int64_t id) const {
  return running_ == id || std::find(waiting_.begin(), waiting_.end(), id) != waiting_.end();
}

bool Janitor::IsWaiting(std::int64_t id) {
  const std::lock_guard lock(mutex_);
  return IsWaitingLocked(id);
}

Status Janitor::Failure(std::int64_t id) {
  const std::lock_guard lock(mutex_);
  return FailureLocked(id);
}

Status Janitor::FailureLocked(std::int64_t id) const {
  const auto failed = failed_.find(id);
  return failed == failed_.end() ? Status::Ok() : failed->second;
}

std::optional<Status> Janitor::Outcome(std::int64_t id, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const bool tried =
      changed_.wait_for(lock, patience, [this, id] { return stop_ || !IsWaitingLocked(id); });
  if (!tried || stop_) return std::nullopt;
  return FailureLocked(id);
}

void Janitor::Drain() {
  std::unique_lock lock(mutex_);
  RetryLocked([](const Status&) { return true; });
  AwaitLocked(lock, 0);
}

void Janitor::Await(std::uint64_t most) {
  std::unique_lock lock(mutex_);
  AwaitLocked(lock, most);
}

// What others tell it meanwhile is behind that, so whoever waits gets there.
void Janitor::AwaitLocked(std::unique_lock<std::mutex>& lock, std::uint64_t most) {
  changed_.wait(lock, [this, most, told = told_] { return stop_ || tried_ + most >= told; });
}

void Janitor::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    if (stop_) return;
    const std::int64_t id = waiting_.front();
    waiting_.pop_front();
    running_ = id;
    lock.unlock();
    const Status status = Guarded(work_, id);
    lock.lock();
    running_.reset();
    ++tried_;
    const auto before = failed_.find(id);
    if (!status.ok() && (before == failed_.end() || before->second.message() != status.message())) {
      log_.Warning(what_ + " is put off", {{"number", id}, {"err", status.message()}});
    }
    if (status.ok()) failed_.erase(id);
    if (!status.ok()) failed_.insert_or_assign(id, status);
    changed_.notify_all();
  }
}

}  // namespace daxfs::snapshotter
