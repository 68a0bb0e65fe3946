// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// Turns SIGINT and SIGTERM into a flag that long work polls, so that it can clean up after itself.
// Make it before any other thread: it blocks both signals in the calling one, and later ones
// inherit that.
class SignalWatcher {
 public:
  // Errors: by errno.
  static Result<std::unique_ptr<SignalWatcher>> Start();
  ~SignalWatcher();

  // Becomes true when one of the signals arrived; never false again.
  const std::atomic<bool>& interrupted() const { return interrupted_; }

 private:
  SignalWatcher(UniqueFd signals, UniqueFd stop);
  void Run();

  UniqueFd signals_;
  UniqueFd stop_;
  std::atomic<bool> interrupted_{false};
  std::thread thread_;
};

// The same for daemons, which do nothing but wait for them.
enum class DaemonSignal { kStop, kReload };  // SIGTERM or SIGINT; SIGHUP

// Before any other thread: from now on they are taken by WaitForSignal alone. Errors: by errno.
Status HoldSignals();
DaemonSignal WaitForSignal();

}  // namespace daxfs::os
