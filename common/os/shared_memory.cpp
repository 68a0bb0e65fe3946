// SPDX-License-Identifier: Apache-2.0
#include "common/os/shared_memory.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "common/base/units.hpp"
#include "common/os/dax_device.hpp"

namespace daxfs::os {
namespace {

Result<std::uint64_t> SizeOf(int fd, const struct stat& info, const std::string& path) {
  if (S_ISREG(info.st_mode)) return static_cast<std::uint64_t>(info.st_size);
  if (!S_ISCHR(info.st_mode)) {
    return InvalidArgumentError(path + ": neither a file nor a dax device");
  }
  // A device that knows its size says so, as files do.
  const off_t end = ::lseek(fd, 0, SEEK_END);
  if (end > 0) return static_cast<std::uint64_t>(end);
  ASSIGN_OR_RETURN(const std::unique_ptr<DaxDevice> device, DaxDevice::Open(path));
  return device->range().size_bytes;
}

}  // namespace

Result<SharedMemory> SharedMemory::Open(const std::string& path, Access access) {
  const bool writes = access == Access::kWrite;
  // O_NONBLOCK: opening a FIFO by mistake must not wait for a writer.
  UniqueFd fd(::open(path.c_str(), (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return Status::FromErrno(errno, path);
  ASSIGN_OR_RETURN(const std::uint64_t size, SizeOf(fd.get(), info, path));
  const auto length = static_cast<std::size_t>(size);
  if (length == 0) return InvalidArgumentError(path + ": is empty");
  void* address =
      ::mmap(nullptr, length, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, fd.get(), 0);
  if (address == MAP_FAILED) return Status::FromErrno(errno, "mmap(" + path + ")");
  return SharedMemory(path, std::move(fd), address, length);
}

Status SharedMemory::Ask(unsigned long request, const void* argument) const {
  return ::ioctl(fd_.get(), request, argument) == 0 ? Status::Ok()
                                                    : Status::FromErrno(errno, "ioctl");
}

bool SharedMemory::IsStillThere() const {
  struct stat opened {};
  struct stat there {};
  return ::fstat(fd_.get(), &opened) == 0 && ::stat(path_.c_str(), &there) == 0 &&
         opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

Result<std::uint64_t> SharedMemory::Size() const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return Status::FromErrno(errno, "fstat");
  return S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : length_;
}

Status SharedMemory::SetSize(std::uint64_t size_bytes) const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return Status::FromErrno(errno, "fstat");
  if (!S_ISREG(info.st_mode)) return Status::Ok();
  return ::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) == 0
             ? Status::Ok()
             : Status::FromErrno(errno, "ftruncate");
}

namespace {

Status NoRoom(int fd, std::uint64_t wanted_bytes, std::uint64_t has_bytes) {
  struct statvfs system {};
  std::string free;
  // A file system without a limit has no blocks.
  if (::fstatvfs(fd, &system) == 0 && system.f_blocks != 0) {
    free = ", " + base::HumanSize(system.f_bavail * system.f_frsize) + " are free";
  }
  return ResourceExhaustedError(
      "its file system has no room for it: " +
      base::HumanSize(wanted_bytes > has_bytes ? wanted_bytes - has_bytes : 0) + " more needed" +
      free + "; take less, or make the file system larger (a tmpfs: mount -o remount,size=SIZE)");
}

}  // namespace

Status SharedMemory::Reserve(std::uint64_t size_bytes) const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return Status::FromErrno(errno, "fstat");
  if (!S_ISREG(info.st_mode)) {
    if (size_bytes <= length_) return Status::Ok();
    return InvalidArgumentError("the device has " + std::to_string(length_) + " bytes");
  }
  const auto old_size = static_cast<std::uint64_t>(info.st_size);
  int error = 0;
  do {
    error = ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size_bytes)) == 0 ? 0 : errno;
  } while (error == EINTR);
  if (error == 0) return Status::Ok();
  if (error == EOPNOTSUPP) return size_bytes > old_size ? SetSize(size_bytes) : Status::Ok();
  // Some file systems keep the part they had room for.
  if (size_bytes > old_size) std::ignore = SetSize(old_size);
  if (error != ENOSPC) return Status::FromErrno(error, "fallocate");
  return NoRoom(fd_.get(), std::max(size_bytes, old_size),
                static_cast<std::uint64_t>(info.st_blocks) * 512);
}

Status SharedMemory::Widen(std::uint64_t size_bytes) {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return Status::FromErrno(errno, "fstat");
  if (!S_ISREG(info.st_mode) || size_bytes <= length_) return Status::Ok();
  void* address = ::mremap(address_, length_, size_bytes, MREMAP_MAYMOVE);
  if (address == MAP_FAILED) return Status::FromErrno(errno, "mremap");
  address_ = address;
  length_ = size_bytes;
  return Status::Ok();
}

SharedMemory::~SharedMemory() {
  if (address_ != nullptr) ::munmap(address_, length_);
}

void FaultIn(std::span<std::byte> memory) {
  ::madvise(memory.data(), memory.size(), MADV_POPULATE_WRITE);
}

Result<Gathered> Gathered::Map(std::span<const Piece> pieces) {
  std::uint64_t length = 0;
  for (const Piece& piece : pieces) length += piece.length;
  void* address =
      ::mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return Status::FromErrno(errno, "mmap");
  Gathered gathered(address, length);
  auto* at = static_cast<std::byte*>(address);
  for (std::size_t i = 0; i < pieces.size();) {
    // Neighbours are one mapping: a process may have only some ten thousand.
    std::size_t next = i + 1;
    std::uint64_t run = pieces[i].length;
    while (next < pieces.size() && pieces[next].memory == pieces[i].memory &&
           pieces[next].offset == pieces[i].offset + run) {
      run += pieces[next++].length;
    }
    if (::mmap(at, run, PROT_READ, MAP_SHARED | MAP_FIXED, pieces[i].memory->fd(),
               static_cast<off_t>(pieces[i].offset)) == MAP_FAILED) {
      return Status::FromErrno(errno, "mmap");
    }
    at += run;
    i = next;
  }
  return gathered;
}

Gathered::~Gathered() {
  if (address_ != nullptr) ::munmap(address_, length_);
}

Status MakeSharedFile(const std::string& path, std::uint64_t size_bytes) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0660));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return Status::FromErrno(errno, path);
  if (!S_ISREG(info.st_mode)) return Status::Ok();
  if (static_cast<std::uint64_t>(info.st_size) == size_bytes) return Status::Ok();
  if (info.st_size != 0) {
    return AlreadyExistsError(path + ": exists with " + std::to_string(info.st_size) +
                              " bytes; leave --size out, or --force makes it anew");
  }
  if (::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) {
    return Status::FromErrno(errno, path);
  }
  return Status::Ok();
}

}  // namespace daxfs::os
