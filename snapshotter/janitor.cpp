// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/janitor.hpp"

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
    waiting_.push_back(id);
    ++told_;
  }
  changed_.notify_all();
}

void Janitor::Drain() {
  std::unique_lock lock(mutex_);
  waiting_.insert(waiting_.end(), failed_.begin(), failed_.end());
  told_ += failed_.size();
  failed_.clear();
  changed_.notify_all();
  changed_.wait(lock, [this, until = told_] { return stop_ || tried_ >= until; });
}

void Janitor::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    if (stop_) return;
    const std::int64_t id = waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    const Status status = Guarded(work_, id);
    if (!status.ok()) {
      log_.Warning(what_ + " is put off", {{"number", id}, {"err", status.message()}});
    }
    lock.lock();
    ++tried_;
    if (!status.ok()) failed_.push_back(id);
    changed_.notify_all();
  }
}

}  // namespace daxfs::snapshotter
