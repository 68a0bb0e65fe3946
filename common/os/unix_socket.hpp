// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// A listening stream socket at `path`, which only its owner may use (mode 0600). What a program
// that has ended left there is replaced. Errors: kAlreadyExists if somebody listens there, or it is
// no socket; kInvalidArgument for a path longer than a socket's may be; else by errno.
Result<UniqueFd> ListenUnix(const std::string& path);

// Connects to who listens at `path`, and leaves. Errors: by errno (ENOENT: nothing is there;
// ECONNREFUSED: nobody listens); kInvalidArgument for a path longer than a socket's may be.
Status ProbeUnix(const std::string& path);

// The process that listens at `path`. Errors: as ProbeUnix.
Result<int> ListenerAt(const std::string& path);

// The next connection, not blocking; nothing when `stop` became readable. Errors: by errno.
Result<std::optional<UniqueFd>> AcceptUnless(int listener, int stop);

// A descriptor that becomes readable for good by Signal().
class StopSignal {
 public:
  // Errors: by errno.
  static Result<StopSignal> Create();
  int fd() const { return fd_.get(); }
  void Signal() const;

 private:
  explicit StopSignal(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace daxfs::os
