// SPDX-License-Identifier: Apache-2.0
#include "common/os/shared_memory.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

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
  return SharedMemory(std::move(fd), address, length);
}

Status SharedMemory::Ask(unsigned long request, const void* argument) const {
  return ::ioctl(fd_.get(), request, argument) == 0 ? Status::Ok()
                                                    : Status::FromErrno(errno, "ioctl");
}

Result<std::uint64_t> SharedMemory::Size() const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return Status::FromErrno(errno, "fstat");
  return S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : length_;
}

Status SharedMemory::SetSize(std::uint64_t size_bytes) const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return Status::FromErrno(errno, "fstat");
  if (!S_ISREG(info.st_mode)) {
    if (size_bytes <= length_) return Status::Ok();
    return InvalidArgumentError("the device has " + std::to_string(length_) + " bytes");
  }
  return ::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) == 0
             ? Status::Ok()
             : Status::FromErrno(errno, "ftruncate");
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
