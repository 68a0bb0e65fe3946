// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::tools {

// What containerd's configuration says that concerns snapshotters; both versions 2 and 3 of it.
struct ContainerdConfig {
  struct Unpack {
    std::string snapshotter;
    std::string differ;
  };
  std::string source;                // where it was read, for people
  std::vector<Unpack> unpack;        // of the transfer service
  std::vector<std::string> differs;  // asked in this order by the diff service
  std::string pods_snapshotter;      // of CRI; "": overlayfs
  std::string sandbox_image;         // of CRI; "": containerd's own
};

// Errors: kInvalidArgument, with the line.
Result<ContainerdConfig> ParseContainerdConfig(const std::string& toml);

// What `containerd config dump` says, with everything it imports: the program that listens at
// `address`, else that of $PATH; where there is none, what the file at `path` says. Errors: by
// errno; kInvalidArgument; kFailedPrecondition with what the program said.
Result<ContainerdConfig> ReadContainerdConfig(const std::string& path, const std::string& address);

}  // namespace daxfs::tools
