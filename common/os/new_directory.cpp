// SPDX-License-Identifier: Apache-2.0
#include "common/os/new_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

namespace daxfs::os {
namespace {

Status Outcome(int result, std::string_view call) {
  return result == 0 ? Status::Ok() : Status::FromErrno(errno, call);
}

// Not by name alone: "" is the directory itself.
int Flags(const std::string& name) {
  return AT_SYMLINK_NOFOLLOW | (name.empty() ? AT_EMPTY_PATH : 0);
}

}  // namespace

Result<NewDirectory> NewDirectory::Open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  return NewDirectory(std::move(fd));
}

Result<NewDirectory> NewDirectory::OpenDirectory(const std::string& name) const {
  UniqueFd fd(::openat(fd_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, "open directory");
  return NewDirectory(std::move(fd));
}

Status NewDirectory::MakeDirectory(const std::string& name) const {
  return Outcome(::mkdirat(fd_.get(), name.c_str(), 0700), "make directory");
}

Result<UniqueFd> NewDirectory::MakeFile(const std::string& name) const {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(::openat(fd_.get(), name.c_str(), kFlags, 0600));
  if (!fd.valid()) return Status::FromErrno(errno, "make file");
  return fd;
}

Status NewDirectory::MakeSymlink(const std::string& name, const std::string& target) const {
  return Outcome(::symlinkat(target.c_str(), fd_.get(), name.c_str()), "make symbolic link");
}

Status NewDirectory::MakeNode(const std::string& name, std::uint32_t mode,
                              std::uint32_t device_major, std::uint32_t device_minor) const {
  const dev_t device = makedev(device_major, device_minor);
  return Outcome(::mknodat(fd_.get(), name.c_str(), (mode & S_IFMT) | 0600, device), "make node");
}

Status NewDirectory::Link(const std::string& name, const NewDirectory& from,
                          const std::string& old_name) const {
  return Outcome(::linkat(from.fd_.get(), old_name.c_str(), fd_.get(), name.c_str(), 0),
                 "make hard link");
}

Status NewDirectory::SetOwner(const std::string& name, std::uint32_t uid, std::uint32_t gid) const {
  return Outcome(::fchownat(fd_.get(), name.c_str(), uid, gid, Flags(name)),
                 "set owner " + std::to_string(uid) + ":" + std::to_string(gid));
}

Status NewDirectory::SetXattr(const std::string& name, const Xattr& xattr) const {
  return Outcome(::lsetxattr(ProcPath(name).c_str(), xattr.name.c_str(), xattr.value.data(),
                             xattr.value.size(), 0),
                 "set extended attribute " + xattr.name);
}

Status NewDirectory::RemoveXattr(const std::string& name, const std::string& xattr) const {
  if (::lremovexattr(ProcPath(name).c_str(), xattr.c_str()) == 0) return Status::Ok();
  if (errno == ENODATA || errno == EOPNOTSUPP) return Status::Ok();
  return Status::FromErrno(errno, "remove extended attribute " + xattr);
}

// There is no setxattrat() yet: /proc names the entry without following it.
std::string NewDirectory::ProcPath(const std::string& name) const {
  return "/proc/self/fd/" + std::to_string(fd_.get()) + (name.empty() ? "/." : "/" + name);
}

Status NewDirectory::SetMode(const std::string& name, std::uint32_t mode) const {
  if (name.empty()) return Outcome(::fchmod(fd_.get(), mode & 07777U), "set mode");
  return Outcome(::fchmodat(fd_.get(), name.c_str(), mode & 07777U, AT_SYMLINK_NOFOLLOW),
                 "set mode");
}

Status NewDirectory::SetTime(const std::string& name, std::int64_t seconds,
                             std::uint32_t nanoseconds) const {
  const struct timespec time = {seconds, static_cast<long>(nanoseconds)};
  const struct timespec times[2] = {time, time};
  const int flags = AT_SYMLINK_NOFOLLOW | (name.empty() ? AT_EMPTY_PATH : 0);
  const int result = name.empty()
                         ? ::futimens(fd_.get(), times)
                         : ::utimensat(fd_.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW);
  RETURN_IF_ERROR(Outcome(result, "set time"));
  // Filesystems silently take the nearest time they can hold.
  struct stat info {};
  RETURN_IF_ERROR(Outcome(::fstatat(fd_.get(), name.c_str(), &info, flags), "stat"));
  if (info.st_mtim.tv_sec == time.tv_sec && info.st_mtim.tv_nsec == time.tv_nsec) {
    return Status::Ok();
  }
  return FailedPreconditionError("set time: this filesystem cannot hold " +
                                 std::to_string(seconds) + "." + std::to_string(nanoseconds));
}

Status SetFileSize(int fd, std::uint64_t size_bytes) {
  return Outcome(::ftruncate(fd, static_cast<off_t>(size_bytes)), "set size");
}

}  // namespace daxfs::os
