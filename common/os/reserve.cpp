// SPDX-License-Identifier: Apache-2.0
#include "common/os/reserve.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/os/unique_fd.hpp"

namespace daxfs::os {

void Reserve::Keep() {
  const std::lock_guard lock(mutex_);
  if (kept_) return;
  constexpr int kFlags = O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  const UniqueFd fd(::open(path_.c_str(), kFlags, S_IRUSR | S_IWUSR));
  if (!fd.valid()) return;
  const auto part = static_cast<off_t>(part_bytes_);
  int taken = 0;
  while (taken < parts_ && ::fallocate(fd.get(), 0, taken * part, part) == 0) ++taken;
  kept_ = taken == parts_;
}

bool Reserve::Release() {
  const std::lock_guard lock(mutex_);
  const UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0 || info.st_size == 0) return false;
  kept_ = false;
  const auto part = static_cast<off_t>(part_bytes_);
  return ::ftruncate(fd.get(), info.st_size > part ? info.st_size - part : 0) == 0;
}

}  // namespace daxfs::os
