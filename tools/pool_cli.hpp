// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "tools/pool_commands.hpp"

namespace daxfs::tools {

// What the command line holds of `daxfsctl pool`, before it is checked.
struct PoolLine {
  PoolCommand arguments;
  std::string size;
  std::string max_size;
  std::string wanted;
  Status (*command)(const PoolCommand&, Context&) = nullptr;
  bool is_long = false;  // can be interrupted
};

// Declares all subcommands. Borrows `line`.
void DeclarePool(CLI::App& app, PoolLine& line);

// Errors: kInvalidArgument.
Status CheckPoolLine(PoolLine* line);

}  // namespace daxfs::tools
