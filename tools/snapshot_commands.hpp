// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/status.hpp"
#include "tools/context.hpp"

namespace daxfs::tools {

struct SnapshotCommand {
  std::string address = "/run/daxfs/snapshotter.sock";
  std::string key;       // info: key or number
  std::string kind;      // ls: only those; "": all
  bool missing = false;  // ls: only those whose image is not in the pool
  bool whole = false;    // as wide as it is, on a terminal too
  bool json = false;
};

// One function a subcommand of `daxfsctl snapshot`. Errors: as AskSnapshots.
Status ListSnapshots(const SnapshotCommand& command, Context& context);
// The snapshot and all layers it lies on. Errors: kNotFound.
Status ShowSnapshot(const SnapshotCommand& command, Context& context);

}  // namespace daxfs::tools
