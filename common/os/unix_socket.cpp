// SPDX-License-Identifier: Apache-2.0
#include "common/os/unix_socket.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace daxfs::os {
namespace {

constexpr int kBacklog = 128;

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return InvalidArgumentError(path + ": a socket's path has at most " +
                                std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<UniqueFd> NewSocket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Status::FromErrno(errno, "socket");
  return fd;
}

const sockaddr* Generic(const sockaddr_un& address) {
  return static_cast<const sockaddr*>(static_cast<const void*>(&address));
}

// Takes away a socket nobody listens on.
Status RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Status::Ok() : Status::FromErrno(errno, path);
  }
  if (!S_ISSOCK(info.st_mode)) return AlreadyExistsError(path + ": is there and is no socket");
  ASSIGN_OR_RETURN(const UniqueFd probe, NewSocket());
  if (::connect(probe.get(), Generic(address), sizeof(address)) == 0 || errno != ECONNREFUSED) {
    return AlreadyExistsError(path + ": another program listens there");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Status::FromErrno(errno, path);
  return Status::Ok();
}

}  // namespace

Result<UniqueFd> ListenUnix(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  RETURN_IF_ERROR(RemoveStale(path, address));
  ASSIGN_OR_RETURN(UniqueFd fd, NewSocket());
  // Nobody can connect before listen(2), so its mode is right in time.
  if (::bind(fd.get(), Generic(address), sizeof(address)) != 0 ||
      ::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return Status::FromErrno(errno, path);
  }
  return fd;
}

Status ProbeUnix(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  ASSIGN_OR_RETURN(const UniqueFd fd, NewSocket());
  if (::connect(fd.get(), Generic(address), sizeof(address)) == 0) return Status::Ok();
  // Somebody listens who has no room for one more at the moment.
  return errno == EAGAIN ? Status::Ok() : Status::FromErrno(errno, path);
}

Result<int> ListenerAt(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  ASSIGN_OR_RETURN(const UniqueFd fd, NewSocket());
  if (::connect(fd.get(), Generic(address), sizeof(address)) != 0) {
    return Status::FromErrno(errno, path);
  }
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return Status::FromErrno(errno, "SO_PEERCRED");
  }
  return peer.pid;
}

Result<std::optional<UniqueFd>> AcceptUnless(int listener, int stop) {
  for (;;) {
    pollfd fds[] = {{listener, POLLIN, 0}, {stop, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return Status::FromErrno(errno, "poll");
    }
    if (fds[1].revents != 0) return std::optional<UniqueFd>();
    UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.valid()) return std::optional<UniqueFd>(std::move(fd));
    // Gone again before it was accepted, or another process that has the listener was quicker.
    if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED) {
      return Status::FromErrno(errno, "accept4");
    }
  }
}

Result<StopSignal> StopSignal::Create() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return Status::FromErrno(errno, "eventfd");
  return StopSignal(std::move(fd));
}

void StopSignal::Signal() const {
  const std::uint64_t one = 1;
  // An eventfd that is full is readable, too.
  static_cast<void>(::write(fd_.get(), &one, sizeof(one)));
}

}  // namespace daxfs::os
