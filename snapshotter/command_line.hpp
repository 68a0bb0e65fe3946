// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>

#include "common/base/log.hpp"
#include "snapshotter/config/config.hpp"

namespace daxfs::snapshotter {

struct CommandLine {
  Config config;
  std::string file;  // that was read; "" if there is none
  bool check_config = false;
  base::LogOptions log;  // its level is that of the configuration
};

// The command line asks for something else than to run: print `text` and leave.
struct Leave {
  int exit_code = 0;
  std::string text;  // for stdout if exit_code is 0, else for stderr
};

// Reads the file of --config, or the usual one if there is one; options win over it.
std::variant<CommandLine, Leave> ParseCommandLine(int argc, const char* const* argv);

}  // namespace daxfs::snapshotter
