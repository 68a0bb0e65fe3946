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

namespace daxfs::os {

Result<TempDir> TempDir::Create(const std::string& prefix) {
  std::string path = prefix + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return Status::FromErrno(errno, path);
  TempDir dir(path);
  // mkdtemp makes it 0700; what it becomes later is an ordinary directory.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::chmod(path.c_str(), 0777 & ~mask) != 0) return Status::FromErrno(errno, path);
  return dir;
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
