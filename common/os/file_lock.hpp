// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// An exclusive lock on a file, bound to the open file (OFD): it goes with the last descriptor,
// however the process ends, and a child that inherits the descriptor keeps it.
class FileLock {
 public:
  // Makes the file if it is missing; nothing if somebody else has the lock. Errors: by errno.
  static Result<std::optional<FileLock>> Try(const std::string& path);
  // The same of a file that is open; the lock goes with `fd`, too. Errors: by errno.
  static Result<std::optional<FileLock>> Of(int fd);
  // Waits for it. Errors: by errno.
  static Result<FileLock> Wait(const std::string& path);
  // Of the file: another one has another number, wherever it lies.
  std::uint64_t number() const;

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace daxfs::os
