// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// How a program has ended.
struct ProgramEnd {
  int exit_status = 0;  // of one that a signal has ended: 128 and its number
  std::string said;     // on standard error, without the last newline
  std::string printed;  // on standard output, if that was kept
};

// What happens to what a program prints.
enum class Printed { kDropped, kKept };

// Starts the program at the path command[0] and waits until it ends. It gets a session of its own,
// none of this process's descriptors, no signal blocked or ignored, and `input` to read; what it
// leaves in the background is not waited for. Thread safe. Errors: by errno if it could not be
// started.
Result<ProgramEnd> RunProgram(const std::vector<std::string>& command,
                              Printed printed = Printed::kDropped, std::string_view input = {});

// Whether there is a program at that path.
bool IsProgram(const std::string& path);

// A program that goes on in the background once it has succeeded.
class Background {
 public:
  // Goes on in a child. The process that called waits for it, and ends with 0 when the child says
  // Detach, else as the child has ended. Call it before there are threads, and before what a fork
  // does not hand on, like a place in a pool. Errors: by errno.
  static Result<Background> Begin();
  // From now on in a session of its own, in the root directory, with nothing for standard input and
  // output. Errors: by errno, also if nobody waits any more.
  Status Detach();

 private:
  explicit Background(UniqueFd waiting) : waiting_(std::move(waiting)) {}
  UniqueFd waiting_;
};

}  // namespace daxfs::os
