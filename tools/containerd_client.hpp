// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::tools {

// What containerd says of itself.
struct ContainerdFacts {
  struct Plugin {
    std::string type;   // "io.containerd.snapshotter.v1"
    std::string id;     // "daxfs"
    std::string error;  // why it does not work; ""
  };
  std::string version;  // "v1.7.13"
  std::vector<Plugin> plugins;
};

// Asks containerd at the socket `address`. Errors: kUnavailable if none answers, with what to do;
// kPermissionDenied; kDeadlineExceeded; containerd's own.
Result<ContainerdFacts> AskContainerd(const std::string& address);

// What containerd has of the image that every pod needs.
struct SandboxFacts {
  bool present = false;
  bool pinned = false;    // the kubelet's collection leaves it
  bool unpacked = false;  // into snapshots of the snapshotter that was asked for
};

// The same of the image `name` in the namespace k8s.io.
Result<SandboxFacts> AskSandbox(const std::string& address, const std::string& name,
                                const std::string& snapshotter);

}  // namespace daxfs::tools
