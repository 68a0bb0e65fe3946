// SPDX-License-Identifier: Apache-2.0
#include "common/os/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "common/os/unique_fd.hpp"

namespace daxfs::os {

Result<Mapping> Mapping::OpenReadOnly(const std::string& path) {
  // O_NONBLOCK: opening a FIFO by mistake must not wait for a writer.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return Status::FromErrno(errno, path);
  if (!S_ISREG(info.st_mode)) return InvalidArgumentError(path + ": not a regular file");
  const auto length = static_cast<std::size_t>(info.st_size);
  if (length == 0) return Mapping(nullptr, 0);
  void* address = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (address == MAP_FAILED) return Status::FromErrno(errno, "mmap(" + path + ")");
  return Mapping(address, length);
}

Mapping::~Mapping() {
  if (address_ != nullptr) ::munmap(address_, length_);
}

}  // namespace daxfs::os
