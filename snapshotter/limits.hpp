// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "common/os/project_quota.hpp"
#include "snapshotter/snapshot.hpp"

namespace daxfs::snapshotter {

// How much may be written to a snapshot, by the label containerd.io/snapshot/max-size: a project
// quota of the file system its directories are on. Where that enforces none, the label is a hint
// that cannot be followed, which the log says once.
class Limits {
 public:
  // For directories in `folder`. Borrows the log.
  Limits(const std::string& folder, base::Logger& log);

  // Bytes; nothing without that label, which containerd calls a hint: the log says what is no size.
  std::optional<std::uint64_t> Wanted(const Labels& labels) const;

  // These directories of snapshot `id`, and what is made below them from then on, take no more than
  // that together. Requires: nothing else is in them; one call at a time. Errors: by errno.
  Status Set(std::int64_t id, const std::vector<std::string>& directories, std::uint64_t bytes);
  // The limit of that directory's snapshot, which is about to be removed, is forgotten. Harmless
  // if there is none, or no such directory. Errors: by errno.
  Status Clear(const std::string& directory) const;

 private:
  Result<std::uint32_t> FreeProject(std::int64_t id) const;
  bool IsOurs(std::uint32_t project) const;

  std::optional<os::ProjectQuotas> quotas_;
  std::uint32_t inherited_ = 0;  // what new directories have anyway; no limit of ours
  const std::uint32_t first_;    // others on that file system begin elsewhere, most likely
  base::Logger& log_;
  std::atomic<bool> said_ = false;
};

}  // namespace daxfs::snapshotter
