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
  // All of one that is there already may be taken, or a part.
  kept_ = ::fallocate(fd.get(), 0, 0, static_cast<off_t>(size_bytes_)) == 0;
  if (!kept_) ::unlink(path_.c_str());
}

bool Reserve::Release() {
  const std::lock_guard lock(mutex_);
  kept_ = false;
  return ::unlink(path_.c_str()) == 0;
}

}  // namespace daxfs::os
