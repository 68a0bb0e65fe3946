// SPDX-License-Identifier: Apache-2.0
#include "common/os/mount.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/os/unique_fd.hpp"

namespace daxfs::os {
namespace {

// What the filesystem said: lines "e daxfs: ..." read from the context, the last one wins.
std::string Complaint(const UniqueFd& context) {
  std::string said;
  std::array<char, 1024> line{};
  for (;;) {
    const ssize_t n = ::read(context.get(), line.data(), line.size());
    if (n <= 0) return said;
    std::string text(line.data(), static_cast<std::size_t>(n));
    while (!text.empty() && text.back() == '\n') text.pop_back();
    if (text.size() > 2) said = text.substr(2);
  }
}

Status Failure(const UniqueFd& context, int error, const std::string& what) {
  const std::string said = Complaint(context);
  return Status::FromErrno(error, said.empty() ? what : said);
}

Status Configure(const UniqueFd& context, unsigned int command, const char* key,
                 const char* value) {
  if (::fsconfig(context.get(), command, key, value, 0) == 0) return Status::Ok();
  const int error = errno;
  return Failure(context, error, key == nullptr ? "mount" : std::string("option ") + key);
}

}  // namespace

Status MountFilesystem(const MountRequest& request) {
  // First, so that a wrong target fails before anything is claimed.
  const UniqueFd target(::open(request.target.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!target.valid()) return Status::FromErrno(errno, request.target);
  const UniqueFd context(::fsopen(request.filesystem.c_str(), FSOPEN_CLOEXEC));
  if (!context.valid()) {
    const int error = errno;
    if (error == ENODEV) {
      return NotFoundError("this kernel does not know " + request.filesystem +
                           ": load its module first");
    }
    return Status::FromErrno(error, "fsopen(" + request.filesystem + ")");
  }
  RETURN_IF_ERROR(Configure(context, FSCONFIG_SET_STRING, "source", request.source.c_str()));
  for (const auto& [key, value] : request.options) {
    const bool flag = value.empty();
    RETURN_IF_ERROR(Configure(context, flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key.c_str(),
                              flag ? nullptr : value.c_str()));
  }
  RETURN_IF_ERROR(Configure(context, FSCONFIG_CMD_CREATE, nullptr, nullptr));
  const UniqueFd mount(
      ::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned int>(request.attributes)));
  if (!mount.valid()) {
    const int error = errno;
    return Failure(context, error, "fsmount");
  }
  if (::move_mount(mount.get(), "", target.get(), "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return Status::FromErrno(errno, request.target);
  }
  return Status::Ok();
}

Result<bool> IsMountPoint(const std::string& path) {
  struct statx info {};
  // Nobody is asked: of what is dead nobody would answer.
  constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  if (::statx(AT_FDCWD, path.c_str(), kFlags, STATX_TYPE, &info) != 0) {
    return Status::FromErrno(errno, path);
  }
  if ((info.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) return false;
  struct statfs statistics {};
  return ::statfs(path.c_str(), &statistics) == 0 || errno != ENOTCONN;
}

Status Unmount(const std::string& path) {
  while (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno == EINVAL || errno == ENOENT) return Status::Ok();
  return Status::FromErrno(errno, path);
}

}  // namespace daxfs::os
