// SPDX-License-Identifier: Apache-2.0
#include "common/os/temp_dir.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "common/os/stale.hpp"

namespace daxfs::os {
namespace {

constexpr int kAttempts = 10;

}  // namespace

Result<TempDir> TempDir::Create(const std::string& prefix) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string path = prefix + "XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return Status::FromErrno(errno, path);
    TempDir dir(path, UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    // Until it is locked another process may take it for one that was left behind.
    if (!dir.fd_.valid() || !LockPart(dir.fd_.get()).ok()) continue;
    struct stat info {};
    if (::fstat(dir.fd_.get(), &info) != 0 || info.st_nlink == 0) continue;
    // mkdtemp makes it 0700; what it becomes later is an ordinary directory.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::chmod(path.c_str(), 0777 & ~mask) != 0) return Status::FromErrno(errno, path);
    return dir;
  }
  return InternalError(prefix + ": every new directory was taken away");
}

TempDir::~TempDir() {
  if (path_.empty()) return;
  std::error_code ignored;  // a destructor cannot report
  std::filesystem::remove_all(path_, ignored);
}

Status TempDir::RenameTo(const std::string& target) {
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) != 0) {
    return Status::FromErrno(errno, target);
  }
  path_.clear();
  return Status::Ok();
}

}  // namespace daxfs::os
