// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

struct ProjectUse {
  bool used = false;              // something has that number
  std::uint64_t limit_bytes = 0;  // 0: none
};

// The project quotas of a file system: directories carry a number, and all below those with one
// number takes no more than its limit. ext4 and xfs enforce them if mounted with `prjquota`.
// Source: quotactl_fd(2), FS_IOC_FSSETXATTR in <linux/fs.h>. Thread safe.
class ProjectQuotas {
 public:
  // Of the file system `directory` is on; nothing if it enforces none. Errors: by errno.
  static Result<std::optional<ProjectQuotas>> On(const std::string& directory);

  // Errors: by errno.
  Result<ProjectUse> Look(std::uint32_t project) const;
  // The number of a directory on it; 0: none. Errors: by errno.
  static Result<std::uint32_t> ProjectOf(const std::string& directory);
  // The directory has that number, and whatever is made below it from then on. Errors: by errno.
  static Status Assign(const std::string& directory, std::uint32_t project);
  // Counted in 1024 bytes, rounded up; 0: as much as there is. Who has CAP_SYS_RESOURCE is not
  // limited. Errors: by errno.
  Status Limit(std::uint32_t project, std::uint64_t bytes) const;

 private:
  explicit ProjectQuotas(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace daxfs::os
