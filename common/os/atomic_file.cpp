// SPDX-License-Identifier: Apache-2.0
#include "common/os/atomic_file.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string>

#include "common/os/file_io.hpp"
#include "common/os/stale.hpp"

namespace daxfs::os {
namespace {

constexpr int kNameAttempts = 100;

std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A name no other process of this host uses now: pid and a per-attempt number.
std::string TemporaryName(const std::string& path, int attempt) {
  return PartPrefix(path) + std::to_string(::getpid()) + "." + std::to_string(attempt);
}

bool MeansNoUnnamedFiles(int error_number) {
  return error_number == EOPNOTSUPP || error_number == EISDIR || error_number == ENOENT ||
         error_number == EINVAL;
}

Result<UniqueFd> CreateNamed(const std::string& path, std::string* temporary) {
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    *temporary = TemporaryName(path, attempt);
    UniqueFd fd(::open(temporary->c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd.valid()) {
      static_cast<void>(LockPart(fd.get()));
      struct stat info {};
      // Until it was locked another process could take it for one that was left behind.
      if (::fstat(fd.get(), &info) == 0 && info.st_nlink > 0) return fd;
      continue;
    }
    if (errno != EEXIST) return Status::FromErrno(errno, path);
  }
  return AlreadyExistsError(path + ": no free temporary name beside it");
}

}  // namespace

Result<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return InvalidArgumentError(path + ": exists and is not a regular file");
  }
  RemoveStaleParts(path);
  std::string temporary;
  UniqueFd fd(::open(DirectoryOf(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
  if (!fd.valid() && !MeansNoUnnamedFiles(errno)) return Status::FromErrno(errno, path);
  if (!fd.valid()) {
    ASSIGN_OR_RETURN(fd, CreateNamed(path, &temporary));
  }
  static_cast<void>(LockPart(fd.get()));  // some filesystems have no locks: then it is never stale
  return std::unique_ptr<AtomicFile>(new AtomicFile(std::move(fd), path, std::move(temporary)));
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::Write(std::uint64_t offset, std::span<const std::byte> data) {
  size_bytes_ = std::max(size_bytes_, offset + data.size());
  return PWriteAll(fd_.get(), offset, data).WithContext(path_);
}

Status AtomicFile::Read(std::uint64_t offset, std::span<std::byte> out) {
  return PReadExact(fd_.get(), offset, out).WithContext(path_);
}

Status AtomicFile::Zero(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return Status::Ok();
  const std::uint64_t end = offset + length;
  // Beyond the end there is nothing to erase: growing is enough, and costs no space.
  if (end > size_bytes_) RETURN_IF_ERROR(Truncate(end));
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) == 0) {
    return Status::Ok();
  }
  if (errno != EOPNOTSUPP && errno != ENOSYS) return Status::FromErrno(errno, "zero " + path_);
  static constexpr std::array<std::byte, 65536> kZeros{};
  while (offset < end) {
    const std::uint64_t n = std::min<std::uint64_t>(end - offset, kZeros.size());
    RETURN_IF_ERROR(Write(offset, std::span(kZeros).first(n)));
    offset += n;
  }
  return Status::Ok();
}

Status AtomicFile::Truncate(std::uint64_t size_bytes) {
  if (::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) != 0) {
    return Status::FromErrno(errno, path_);
  }
  size_bytes_ = size_bytes;
  return Status::Ok();
}

// Gives an unnamed file its last name if that is free, otherwise one to be renamed.
Status AtomicFile::NameUnnamed() {
  // It is reached through /proc: linkat by descriptor alone needs a capability.
  const std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
  if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) == 0) {
    return Status::Ok();
  }
  if (errno != EEXIST) return Status::FromErrno(errno, path_);
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    std::string name = TemporaryName(path_, attempt);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = std::move(name);
      return Status::Ok();
    }
    if (errno != EEXIST) return Status::FromErrno(errno, path_);
  }
  return AlreadyExistsError(path_ + ": no free temporary name beside it");
}

Status AtomicFile::Commit() {
  DAXFS_CHECK(fd_.valid());
  // Some filesystems tell of a failed write only when a descriptor is closed: before anybody sees
  // it.
  ASSIGN_OR_RETURN(UniqueFd copy, Duplicate(fd_.get()));
  RETURN_IF_ERROR(copy.Close().WithContext(path_));
  if (temporary_.empty()) RETURN_IF_ERROR(NameUnnamed());
  if (temporary_.empty()) return fd_.Close().WithContext(path_);
  // The lock goes with the descriptor: not before the name is right.
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return Status::FromErrno(errno, path_);
  temporary_.clear();
  return fd_.Close().WithContext(path_);
}

}  // namespace daxfs::os
