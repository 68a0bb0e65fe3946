// SPDX-License-Identifier: Apache-2.0
#include "common/os/service_manager.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <ctime>

namespace daxfs::os {

Result<UniqueFd> InheritedSocket() {
  const int count = ::sd_listen_fds(1);
  if (count < 0) return Status::FromErrno(-count, "sd_listen_fds");
  if (count == 0) return UniqueFd();
  UniqueFd fd(SD_LISTEN_FDS_START);
  if (count > 1 || ::sd_is_socket_unix(fd.get(), SOCK_STREAM, 1, nullptr, 0) <= 0) {
    return InvalidArgumentError("the service manager has to pass one listening unix socket");
  }
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return Status::FromErrno(errno, "fcntl");
  }
  return fd;
}

void NotifyReady(const std::string& status_text) {
  ::sd_notifyf(0, "READY=1\nSTATUS=%s", status_text.c_str());
}

void NotifyReloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               static_cast<long long>(now.tv_sec) * 1000000 + now.tv_nsec / 1000);
}

void NotifyStopping() { ::sd_notify(0, "STOPPING=1"); }

}  // namespace daxfs::os
