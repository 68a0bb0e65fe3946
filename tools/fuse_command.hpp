// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::tools {

// daxfs-fuse [-f] [-o OPTIONS] IMAGE MOUNTPOINT, in any order.
struct FuseCommand {
  std::string image;
  std::string mountpoint;
  std::vector<std::string> options;  // for libfuse, one each
  bool foreground = false;
  bool help = false;
  bool version = false;
};

// What every mount gets ("ro", "default_permissions") is not in `options`; what mount(8) and
// fstab(5) add and means nothing here is dropped. Errors: kInvalidArgument with a text for the
// user.
Result<FuseCommand> ParseFuseCommand(const std::vector<std::string>& arguments);

}  // namespace daxfs::tools
