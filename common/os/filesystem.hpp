// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/status.hpp"

namespace daxfs::os {

// What the file system a directory is on can do for OverlayFS, which keeps what is written there.
struct UpperFacts {
  std::string type;          // "ext4"
  bool entry_types = false;  // readdir(3) says what is a directory (d_type)
  bool xattrs = false;       // trusted.* can be set
};

// Tries it in a directory of its own below `path`, which goes again. Errors: by errno;
// kPermissionDenied for who is not root.
Result<UpperFacts> ProbeUpper(const std::string& path);

}  // namespace daxfs::os
