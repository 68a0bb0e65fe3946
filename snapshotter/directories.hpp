// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "snapshotter/store.hpp"

namespace daxfs::snapshotter {

// Where snapshots lie below the root: snapshots/N with
//
//   fs    the layer: what was written, or where its image is mounted
//   work  OverlayFS's own, of an active one
//   up    what is written over an image that was applied to an active one
class Directories {
 public:
  // Makes what is missing. Errors: by errno.
  static Result<Directories> Open(const std::string& root);

  // Where all of them are.
  const std::string& folder() const { return root_; }
  std::string Path(std::int64_t id) const { return root_ + "/" + std::to_string(id); }
  std::string Layer(std::int64_t id) const { return Path(id) + "/fs"; }
  std::string Work(std::int64_t id) const { return Path(id) + "/work"; }
  std::string Over(std::int64_t id) const { return Path(id) + "/up"; }

  // Of a new snapshot; what a crash has left of its number goes. Errors: by errno; then nothing is
  // left.
  Status Make(const Snapshot& snapshot) const;
  // Of one that is known, without the layer itself: what is missing of the rest. Errors: by errno.
  Status MakeMissing(const Snapshot& snapshot) const;
  // Errors: by errno. Requires: nothing is mounted below.
  Status Remove(std::int64_t id) const;

  // All that are there go to a directory beside theirs, which is returned; on the disk before
  // that. Errors: by errno.
  Result<std::string> PutAside() const;

  // Numbers of all that are there.
  Result<std::vector<std::int64_t>> List() const;
  // Whose layer or writable directory a path is: N of snapshots/N/fs and snapshots/N/up.
  std::optional<std::int64_t> IdOf(const std::string& path) const;

 private:
  explicit Directories(std::string root) : root_(std::move(root)) {}
  std::string root_;
};

}  // namespace daxfs::snapshotter
