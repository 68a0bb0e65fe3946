// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "tools/snapshot_commands.hpp"

namespace daxfs::tools {

// What the command line holds of `daxfsctl snapshot`.
struct SnapshotLine {
  SnapshotCommand arguments;
  Status (*command)(const SnapshotCommand&, Context&) = nullptr;
};

// Declares all subcommands. Borrows `line`.
void DeclareSnapshot(CLI::App& app, SnapshotLine& line);

}  // namespace daxfs::tools
