// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::os {

// A mount to be made. It appears at `target` complete or not at all.
struct MountRequest {
  std::string filesystem;  // type, "daxfs"
  std::string source;      // what /proc/mounts shows
  std::string target;      // an existing directory
  std::vector<std::pair<std::string, std::string>>
      options;                   // the filesystem's own; value may be ""
  std::uint64_t attributes = 0;  // MOUNT_ATTR_* of mount_setattr(2)
};

// Mounts through fsopen(2). Errors: by errno, with what the filesystem said about it in the
// message; kNotFound if the kernel does not know the type. Needs CAP_SYS_ADMIN.
Status MountFilesystem(const MountRequest& request);

// Whether something is mounted on that directory and not dead, as what a program served that has
// ended. Errors: by errno.
Result<bool> IsMountPoint(const std::string& path);

// Takes what is mounted there away, at once for names; who uses it keeps it as long. Nothing there
// is no error. Errors: by errno.
Status Unmount(const std::string& path);

}  // namespace daxfs::os
