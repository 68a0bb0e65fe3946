// SPDX-License-Identifier: Apache-2.0
#include "common/os/stale.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "common/os/unique_fd.hpp"

namespace daxfs::os {

namespace fs = std::filesystem;

std::string PartPrefix(const std::string& output) { return output + ".part.daxfs."; }

Status LockPart(int fd) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return Status::Ok();
  return Status::FromErrno(errno, "flock");
}

void RemoveStaleParts(const std::string& output) {
  const fs::path prefix(PartPrefix(output));
  const fs::path parent = prefix.has_parent_path() ? prefix.parent_path() : fs::path(".");
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->path().filename().native().starts_with(prefix.filename().native())) continue;
    const UniqueFd fd(
        ::open(entry->path().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd.valid() || !LockPart(fd.get()).ok()) continue;
    std::error_code ignored;
    fs::remove_all(entry->path(), ignored);
  }
}

}  // namespace daxfs::os
