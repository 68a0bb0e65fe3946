// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "common/base/status.hpp"

namespace daxfs::os {

// Owns one file descriptor. The destructor closes and cannot report; where the answer matters call
// Close().
class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes ownership of `fd` (-1: none).
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  // Gives ownership away.
  int Release() { return std::exchange(fd_, -1); }
  // Closes and reports, for instance a delayed write error (by errno).
  Status Close();

 private:
  int fd_ = -1;
};

// Another descriptor of the same open file. Errors: by errno.
Result<UniqueFd> Duplicate(int fd);

}  // namespace daxfs::os
