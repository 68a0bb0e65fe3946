// SPDX-License-Identifier: Apache-2.0
#include "common/os/signal_watcher.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>

namespace daxfs::os {
namespace {

sigset_t Watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

Status HoldSignals() {
  const sigset_t set = Watched();
  const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return error == 0 ? Status::Ok() : Status::FromErrno(error, "pthread_sigmask");
}

DaemonSignal WaitForSignal() {
  const sigset_t set = Watched();
  int signal = 0;
  while (::sigwait(&set, &signal) != 0) continue;
  return signal == SIGHUP ? DaemonSignal::kReload : DaemonSignal::kStop;
}

Result<std::unique_ptr<SignalWatcher>> SignalWatcher::Start() {
  const sigset_t set = Watched();
  RETURN_IF_ERROR(HoldSignals());
  UniqueFd signals(::signalfd(-1, &set, SFD_CLOEXEC));
  if (!signals.valid()) return Status::FromErrno(errno, "signalfd");
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) return Status::FromErrno(errno, "eventfd");
  return std::unique_ptr<SignalWatcher>(new SignalWatcher(std::move(signals), std::move(stop)));
}

SignalWatcher::SignalWatcher(UniqueFd signals, UniqueFd stop)
    : signals_(std::move(signals)), stop_(std::move(stop)), thread_([this] { Run(); }) {}

SignalWatcher::~SignalWatcher() {
  const std::uint64_t one = 1;
  // An empty eventfd takes this at once; nothing else would end the thread.
  while (::write(stop_.get(), &one, sizeof(one)) != sizeof(one)) continue;
  thread_.join();
}

void SignalWatcher::Run() {
  for (;;) {
    struct pollfd fds[] = {{signals_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    struct signalfd_siginfo info {};
    if (fds[0].revents != 0 && ::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      interrupted_.store(true);
    }
  }
}

}  // namespace daxfs::os
