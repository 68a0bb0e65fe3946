// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "common/format/advance.hpp"
#include "common/os/progress.hpp"

namespace daxfs::tools {

// Takes what a command prints, in parts. Errors end the command (a closed pipe, a full disk).
using Output = std::function<Status(std::string_view)>;

// What a command works with besides its arguments.
struct Context {
  Output out;  // standard output
  os::Progress& progress;
  base::Logger& log;
  bool differ = false;  // `diff`, `check` or `doctor` found something: 1 without a failure
  std::function<Status()> flush = {};  // sends what is printed on its way now

  // What long work in common/format reports to.
  format::Advance Watch() {
    return [this](std::uint64_t bytes, std::uint64_t entries) {
      return progress.Advance(bytes, entries);
    };
  }
};

// Writes a new file at `path` from its first byte on, "-" means standard output, and lets `write`
// fill it; nothing is left of the file if that fails.
Status WriteOutput(const std::string& path, Context& context,
                   const std::function<Status(const Output&)>& write);

}  // namespace daxfs::tools
