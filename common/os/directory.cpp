// SPDX-License-Identifier: Apache-2.0
#include "common/os/directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>

namespace daxfs::os {
namespace {

FileInfo FromStat(const struct stat& info) {
  FileInfo out;
  out.mode = info.st_mode;
  out.uid = info.st_uid;
  out.gid = info.st_gid;
  out.link_count = info.st_nlink;
  out.size_bytes = static_cast<std::uint64_t>(info.st_size);
  out.mtime_seconds = info.st_mtim.tv_sec;
  out.mtime_nanoseconds = static_cast<std::uint32_t>(info.st_mtim.tv_nsec);
  out.device_major = major(info.st_rdev);
  out.device_minor = minor(info.st_rdev);
  out.filesystem = info.st_dev;
  out.inode = info.st_ino;
  return out;
}

Result<UniqueFd> OpenAt(int directory_fd, const std::string& path, std::uint64_t flags,
                        std::uint64_t resolve) {
  struct open_how how {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve;
  for (;;) {
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, directory_fd, path.c_str(), &how, sizeof(how))));
    if (fd.valid()) return fd;
    // EAGAIN: something was renamed during the walk, the kernel asks to try again.
    if (errno != EINTR && errno != EAGAIN) return Status::FromErrno(errno, path);
  }
}

// Extended attributes have no *at() calls: go through /proc, which names the entry without
// following it.
std::string ProcPath(int fd, const std::string& name) {
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  path += name.empty() ? "/." : "/" + name;
  return path;
}

bool MeansNoXattrs(int error_number) {
  return error_number == EOPNOTSUPP || error_number == ENOSYS;
}

Result<std::string> ListXattrs(const std::string& path) {
  for (;;) {
    const ssize_t size = ::llistxattr(path.c_str(), nullptr, 0);
    if (size < 0 && MeansNoXattrs(errno)) return std::string();
    if (size < 0) return Status::FromErrno(errno, "llistxattr");
    std::string names(static_cast<std::size_t>(size), '\0');
    const ssize_t n = ::llistxattr(path.c_str(), names.data(), names.size());
    if (n < 0 && errno == ERANGE) continue;  // grew meanwhile
    if (n < 0) return Status::FromErrno(errno, "llistxattr");
    names.resize(static_cast<std::size_t>(n));
    return names;
  }
}

Result<std::string> GetXattr(const std::string& path, const std::string& name) {
  for (;;) {
    const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), nullptr, 0);
    if (size < 0) return Status::FromErrno(errno, "lgetxattr " + name);
    std::string value(static_cast<std::size_t>(size), '\0');
    const ssize_t n = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (n < 0 && errno == ERANGE) continue;
    if (n < 0) return Status::FromErrno(errno, "lgetxattr " + name);
    value.resize(static_cast<std::size_t>(n));
    return value;
  }
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

}  // namespace

Result<FileInfo> StatFd(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return Status::FromErrno(errno, "fstat");
  return FromStat(info);
}

Result<Directory> Directory::Open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  return Directory(std::move(fd));
}

Result<Directory> Directory::OpenDirectory(const std::string& name) const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(fd_.get(), name, O_RDONLY | O_DIRECTORY,
                                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
  return Directory(std::move(fd));
}

Result<Directory> Directory::Follow(const std::string& path) const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(fd_.get(), path, O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT));
  return Directory(std::move(fd));
}

Result<UniqueFd> Directory::OpenFile(const std::string& path) const {
  // O_NONBLOCK: a FIFO of that name must not make us wait.
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(fd_.get(), path, O_RDONLY | O_NONBLOCK, RESOLVE_BENEATH));
  ASSIGN_OR_RETURN(const FileInfo info, StatFd(fd.get()));
  if (!S_ISREG(info.mode)) return InvalidArgumentError(path + ": not a regular file");
  return fd;
}

Result<std::vector<std::string>> Directory::Names() const {
  // A descriptor of its own: the position of a directory stream is shared between duplicates.
  UniqueFd copy(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy.valid()) return Status::FromErrno(errno, "open directory");
  const std::unique_ptr<DIR, CloseDir> stream(::fdopendir(copy.get()));
  if (stream == nullptr) return Status::FromErrno(errno, "fdopendir");
  static_cast<void>(copy.Release());  // the stream owns it now
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(stream.get());
    if (entry == nullptr && errno != 0) return Status::FromErrno(errno, "readdir");
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<FileInfo> Directory::Stat(const std::string& name) const {
  if (name.empty()) return StatFd(fd_.get());
  struct stat info {};
  if (::fstatat(fd_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return Status::FromErrno(errno, name);
  }
  return FromStat(info);
}

Result<std::string> Directory::ReadLink(const std::string& name) const {
  std::string target(PATH_MAX, '\0');
  const ssize_t n = ::readlinkat(fd_.get(), name.c_str(), target.data(), target.size());
  if (n < 0) return Status::FromErrno(errno, name);
  target.resize(static_cast<std::size_t>(n));
  return target;
}

Result<std::vector<Xattr>> Directory::Xattrs(const std::string& name) const {
  const std::string path = ProcPath(fd_.get(), name);
  ASSIGN_OR_RETURN(const std::string names, ListXattrs(path));
  std::vector<Xattr> xattrs;
  for (std::size_t at = 0; at < names.size();) {
    std::string key(names.c_str() + at);
    at += key.size() + 1;
    Result<std::string> value = GetXattr(path, key);
    // Removed between the two calls, or a name the kernel lists but does not hand out.
    if (!value.ok() && value.status().error_number() == ENODATA) continue;
    if (!value.ok()) return std::move(value).status();
    xattrs.push_back({std::move(key), *std::move(value)});
  }
  std::sort(xattrs.begin(), xattrs.end(),
            [](const Xattr& a, const Xattr& b) { return a.name < b.name; });
  return xattrs;
}

}  // namespace daxfs::os
