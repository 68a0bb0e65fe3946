// SPDX-License-Identifier: Apache-2.0
#include "tools/directory_cache.hpp"

#include <algorithm>
#include <utility>

namespace daxfs::tools {
namespace {

// How much of `path` two paths begin with, in whole components.
std::size_t CommonLength(std::string_view a, std::string_view b) {
  const auto [end, unused] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  auto length = static_cast<std::size_t>(end - a.begin());
  const auto ends_component = [&](std::string_view path) {
    return length == path.size() || path[length] == '/';
  };
  while (length > 0 && !(ends_component(a) && ends_component(b))) --length;
  return length;
}

}  // namespace

Result<const os::NewDirectory*> DirectoryCache::Open(std::string_view path) {
  if (path.empty() || path == "/") return &root_;
  if (last_.has_value() && path == path_) return &*last_;
  const std::size_t common = last_.has_value() ? CommonLength(path_, path) : 0;
  if (last_.has_value() && common == path_.size()) {
    const auto depth = static_cast<std::size_t>(std::count(path_.begin(), path_.end(), '/'));
    return Descend(path, common, depth);
  }
  last_.reset();
  // Only ones above the directory itself.
  while (!parents_ends_.empty() && parents_ends_.back() >= std::min(common + 1, path.size())) {
    parents_ends_.pop_back();
    parents_.pop_back();
  }
  const std::size_t start = parents_ends_.empty() ? 0 : parents_ends_.back();
  return Descend(path, start, parents_.size() * kStride);
}

// From last_, or else from the deepest parent, or else from the root, which is `depth` levels deep
// and whose path ends at `start`.
Result<const os::NewDirectory*> DirectoryCache::Descend(std::string_view path, std::size_t start,
                                                        std::size_t depth) {
  std::optional<os::NewDirectory> at = std::exchange(last_, std::nullopt);
  const os::NewDirectory* above = at.has_value()     ? &*at
                                  : parents_.empty() ? &root_
                                                     : &parents_.back();
  path_.clear();
  while (start < path.size()) {
    const std::size_t end = std::min(path.find('/', start + 1), path.size());
    ASSIGN_OR_RETURN(os::NewDirectory below,
                     above->OpenDirectory(std::string(path.substr(start + 1, end - start - 1))));
    start = end;
    if (++depth % kStride == 0 && depth / kStride > parents_.size()) {
      ASSIGN_OR_RETURN(os::NewDirectory kept, below.OpenDirectory("."));
      parents_.push_back(std::move(kept));
      parents_ends_.push_back(end);
    }
    at.emplace(std::move(below));
    above = &*at;
  }
  last_ = std::move(at);
  path_ = path;
  return &*last_;
}

}  // namespace daxfs::tools
