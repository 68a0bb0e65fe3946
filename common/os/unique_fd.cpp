// SPDX-License-Identifier: Apache-2.0
#include "common/os/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace daxfs::os {

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

Status UniqueFd::Close() {
  const int fd = std::exchange(fd_, -1);
  // Linux releases the descriptor even when close is interrupted: never retry.
  if (fd >= 0 && ::close(fd) != 0 && errno != EINTR) return Status::FromErrno(errno, "close");
  return Status::Ok();
}

Result<UniqueFd> Duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return Status::FromErrno(errno, "dup");
  return copy;
}

}  // namespace daxfs::os
