// SPDX-License-Identifier: Apache-2.0
#include "common/os/file_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace daxfs::os {
namespace {

Result<UniqueFd> OpenLockFile(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  return fd;
}

int Lock(int fd, int command) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  int result = 0;
  do {
    result = ::fcntl(fd, command, &range);
  } while (result != 0 && errno == EINTR && command == F_OFD_SETLKW);
  return result;
}

}  // namespace

Result<std::optional<FileLock>> FileLock::Try(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenLockFile(path));
  if (Lock(fd.get(), F_OFD_SETLK) == 0) return std::optional(FileLock(std::move(fd)));
  if (errno == EAGAIN || errno == EACCES) return std::optional<FileLock>();
  return Status::FromErrno(errno, path);
}

Result<std::optional<FileLock>> FileLock::Of(int fd) {
  UniqueFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own.valid()) return Status::FromErrno(errno, "fcntl");
  if (Lock(own.get(), F_OFD_SETLK) == 0) return std::optional(FileLock(std::move(own)));
  if (errno == EAGAIN || errno == EACCES) return std::optional<FileLock>();
  return Status::FromErrno(errno, "lock");
}

Result<FileLock> FileLock::Wait(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenLockFile(path));
  if (Lock(fd.get(), F_OFD_SETLKW) == 0) return FileLock(std::move(fd));
  return Status::FromErrno(errno, path);
}

std::uint64_t FileLock::number() const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return 0;
  return (info.st_dev * 0x9e3779b97f4a7c15U) ^ info.st_ino;
}

}  // namespace daxfs::os
