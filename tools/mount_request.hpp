// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/mount.hpp"

namespace daxfs::tools {

// The command line mount(8) gives a helper: mount.daxfs SOURCE DIR [-sfnv] [-o OPTIONS].
struct MountCommand {
  std::string source;
  std::string target;
  std::string options;  // comma separated
  bool fake = false;    // do everything but mount
  bool verbose = false;
  bool help = false;
  bool version = false;
};

// Errors: kInvalidArgument with a text for the user.
Result<MountCommand> ParseMountCommand(const std::vector<std::string>& arguments);

// Splits options into what the kernel's mount takes (attributes) and what daxfs takes; those of
// fstab (noauto, x-*, ...) are dropped, "ro" and "rw" too: an image is read-only.
os::MountRequest MakeRequest(const MountCommand& command);

// Whether the options name the place themselves ("phys=").
bool HasOption(const os::MountRequest& request, const std::string& key);

}  // namespace daxfs::tools
