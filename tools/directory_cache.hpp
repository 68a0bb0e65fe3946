// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/new_directory.hpp"

namespace daxfs::tools {

// Opens directories below a root by path, one after the other. Paths that follow each other share
// most of their components: the last directory stays open, and of its parents every 32nd, so that a
// deep tree costs neither a walk from the root for each of its entries nor a descriptor a level.
class DirectoryCache {
 public:
  // Borrows `root`.
  explicit DirectoryCache(const os::NewDirectory& root) : root_(root) {}

  // `path` begins with a slash; "" and "/" are the root. Valid until the next call. Errors: by
  // errno.
  Result<const os::NewDirectory*> Open(std::string_view path);

 private:
  static constexpr std::size_t kStride = 32;

  Result<const os::NewDirectory*> Descend(std::string_view path, std::size_t start,
                                          std::size_t depth);

  const os::NewDirectory& root_;
  std::string path_;                       // of last_
  std::optional<os::NewDirectory> last_;   // none: nothing but the root is open
  std::vector<os::NewDirectory> parents_;  // of path_, at depths 32, 64, ...
  std::vector<std::size_t> parents_ends_;  // where their paths end in path_
};

}  // namespace daxfs::tools
