// SPDX-License-Identifier: Apache-2.0
#include "common/convert/implicit.hpp"

#include <cerrno>
#include <utility>

#include "common/os/directory.hpp"

namespace daxfs::convert {
namespace {

constexpr std::string_view kTrusted = "trusted.";

Result<LowerDirectory> Describe(const os::Directory& directory) {
  ASSIGN_OR_RETURN(const os::FileInfo info, directory.Stat(""));
  LowerDirectory lower;
  lower.attributes.mode = info.mode;
  lower.attributes.uid = info.uid;
  lower.attributes.gid = info.gid;
  lower.attributes.mtime_seconds = info.mtime_seconds;
  lower.attributes.mtime_nanoseconds = info.mtime_nanoseconds;
  ASSIGN_OR_RETURN(const std::vector<os::Xattr> xattrs, directory.Xattrs(""));
  for (const os::Xattr& xattr : xattrs) {
    if (xattr.name.rfind(kTrusted, 0) != 0) lower.xattrs.emplace(xattr.name, xattr.value);
  }
  return lower;
}

}  // namespace

FindLower FindInDirectories(std::vector<std::string> directories) {
  return [directories = std::move(directories)](
             const std::string& path) -> Result<std::optional<LowerDirectory>> {
    for (const std::string& root : directories) {
      ASSIGN_OR_RETURN(const os::Directory top, os::Directory::Open(root));
      const Result<os::Directory> found = top.Follow(path);
      if (found.ok()) {
        ASSIGN_OR_RETURN(LowerDirectory lower, Describe(*found));
        return std::optional<LowerDirectory>(std::move(lower));
      }
      const int error = found.status().error_number();
      if (error == ENOTDIR || error == ELOOP) break;
      if (error != ENOENT) return found.status().WithContext(root);
    }
    return std::optional<LowerDirectory>();
  };
}

Result<std::uint64_t> ResolveImplicit(Tree& tree, XattrTable& xattrs, const FindLower& find) {
  struct Place {
    NodeId node;
    std::string path;  // "" for the root
  };
  std::uint64_t resolved = 0;
  std::vector<Place> places = {{Tree::kRoot, ""}};
  while (!places.empty()) {
    const Place place = std::move(places.back());
    places.pop_back();
    for (const auto& [name, child] : tree.ChildrenOf(place.node)) {
      if (!tree.IsDirectory(child)) continue;
      places.push_back({child, place.path.empty() ? name : place.path + "/" + name});
      Node& node = tree.At(child);
      if (!node.implicit) continue;
      ASSIGN_OR_RETURN(const std::optional<LowerDirectory> lower, find(places.back().path));
      if (!lower) continue;
      node.attributes = lower->attributes;
      ASSIGN_OR_RETURN(node.xattrs, xattrs.Intern(lower->xattrs));
      node.implicit = false;
      ++resolved;
    }
  }
  return resolved;
}

}  // namespace daxfs::convert
