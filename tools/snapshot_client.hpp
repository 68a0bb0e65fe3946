// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::tools {

// What daxfs-snapshotter says of itself (daxfs.snapshotter.v1.StatusResponse).
struct DaemonStatus {
  std::string version;
  std::int64_t started_ns = 0;  // since 1970
  std::string root;
  std::string pool;       // "": none is configured
  std::string pool_uuid;  // "": it takes part in none
  std::string backend;
  std::string why_no_pool;
  std::string containerd;
  std::string content;
};

// A snapshot as it says it is.
struct SnapshotView {
  std::int64_t number = 0;
  std::string name;  // bytes, as is the next
  std::string parent;
  std::string kind;   // "view", "active" or "committed"
  std::string state;  // "directory", "placed", "missing", "rebuilding" or "unknown"
  std::string image;  // digests, "" for none
  std::string diff_id;
  std::string chain;
  std::string blob;
  std::int64_t created_ns = 0;
  std::int64_t updated_ns = 0;
  struct Usage {
    std::uint64_t bytes = 0;
    std::uint64_t inodes = 0;
  };
  std::optional<Usage> usage;  // once counted
  std::string directory;
  bool mounted = false;
  std::string why;  // an image is not there, and could not be placed again
  std::map<std::string, std::string> labels;
};

// Each asks the daemon at the socket `address`. Errors: kUnavailable if none answers,
// kUnimplemented if it is older; kPermissionDenied; kDeadlineExceeded; the daemon's own.
Result<DaemonStatus> AskStatus(const std::string& address);
// All snapshots, by number.
Result<std::vector<SnapshotView>> AskSnapshots(const std::string& address);

// What to do about such an error.
std::string AdviceFor(const Status& status);

}  // namespace daxfs::tools
