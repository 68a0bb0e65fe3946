// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "snapshotter/directories.hpp"
#include "snapshotter/images.hpp"
#include "snapshotter/janitor.hpp"
#include "snapshotter/store.hpp"

namespace daxfs::snapshotter {

// Images of snapshots that are not in the pool any more: it was made anew, wiped with the power, or
// this host was stated to be off. What still is there is held again, the rest is placed again.
// Thread safe.
class Restorer {
 public:
  // `mount` makes a layer visible; `placed` hears of each snapshot whose image is there again.
  // Borrows all.
  Restorer(Store& store, const Directories& directories, Images& images,
           std::function<Status(const Layer&)> mount, std::function<void(const Snapshot&)> placed,
           base::Logger& log);
  ~Restorer();
  Restorer(const Restorer&) = delete;
  Restorer& operator=(const Restorer&) = delete;

  // If the pool was joined since this was called last: holds of no snapshot are dropped, and of who
  // has lost its hold nothing is mounted any more; what was is being mounted again from then on,
  // what is missing placed.
  Status Settle();
  // What the snapshot and those below it have is in the pool, held and mounted. Takes as long as
  // that takes. Errors: kNotFound if nobody has a layer any more, with what to do.
  Status Restore(std::int64_t id);
  // The same in the background. Errors: kUnavailable if a second was not enough.
  Status RestoreSoon(std::int64_t id);
  // What is being placed again ends, kCancelled, and nothing is placed any more.
  void Stop();
  bool IsRestoring(std::int64_t id) { return restoring_.IsWaiting(id); }
  // Why that failed when it was tried last; Ok if it was not, or did not.
  Status WhyNot(std::int64_t id) { return restoring_.Failure(id); }

 private:
  Status SettleAll(const std::vector<Snapshot>& snapshots);
  Status RestoreLayer(const Layer& layer, const std::vector<std::string>& below);
  Status HoldOrPlace(const Layer& layer, const std::vector<std::string>& below, LayerImage* image);
  Status CheckSettled();
  Status CheckThere(const Layer& layer);
  void Tend();

  Store& store_;
  const Directories& directories_;
  Images& images_;
  const std::function<Status(const Layer&)> mount_;
  const std::function<void(const Snapshot&)> placed_;
  base::Logger& log_;
  std::mutex settle_mutex_;
  std::uint64_t settled_ = 0;  // when it was joined so often; under settle_mutex_
  std::mutex restore_mutex_;   // one at a time: they share layers
  std::mutex tend_mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stop_ = false;  // set under tend_mutex_
  Janitor restoring_;
  std::thread tending_;
};

}  // namespace daxfs::snapshotter
