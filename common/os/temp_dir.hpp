// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// A fresh directory, removed with everything in it by the destructor unless RenameTo gave it away.
class TempDir {
 public:
  // Makes `<prefix>XXXXXX`, locked (os/stale.hpp); mode 0755 as the umask allows. Errors: by errno.
  static Result<TempDir> Create(const std::string& prefix);

  TempDir(TempDir&& other) noexcept
      : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}
  TempDir& operator=(TempDir&&) = delete;
  ~TempDir();

  const std::string& path() const { return path_; }

  // Makes the directory appear as `target`, atomically, and stops owning it.
  // Errors: kAlreadyExists if there is something with that name; else by errno.
  Status RenameTo(const std::string& target);

 private:
  TempDir(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

}  // namespace daxfs::os
