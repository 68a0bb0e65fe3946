// SPDX-License-Identifier: Apache-2.0
#include "common/convert/implicit.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>
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

Result<LowerDirectory> Describe(const format::Image& image, const format::Inode& directory) {
  LowerDirectory lower;
  lower.attributes.mode = directory.mode;
  lower.attributes.uid = directory.uid;
  lower.attributes.gid = directory.gid;
  lower.attributes.mtime_seconds = directory.mtime_seconds;
  lower.attributes.mtime_nanoseconds = directory.mtime_nanoseconds;
  ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> xattrs, image.Xattrs(directory));
  for (const format::XattrEntry& xattr : xattrs) {
    if (!xattr.name.starts_with(kTrusted)) lower.xattrs.emplace(xattr.name, xattr.value);
  }
  return lower;
}

// The next name of a path, which is taken off it; empty at its end.
std::string TakeName(std::string* path) {
  const std::size_t from = std::min(path->find_first_not_of('/'), path->size());
  const std::size_t end = std::min(path->find('/', from), path->size());
  std::string name = path->substr(from, end - from);
  path->erase(0, end);
  return name;
}

// The directory a path leads to, links followed inside the image, as openat2(2) does with
// RESOLVE_IN_ROOT. Errors: kNotFound if a name is missing; kFailedPrecondition if it leads through
// what is no directory, or for ever.
Result<format::Inode> Follow(const format::Image& image, std::string path) {
  constexpr int kLinksMax = 40;
  ASSIGN_OR_RETURN(const format::Inode root, image.Root());
  std::vector<format::Inode> trail = {root};  // ".." goes back on it
  int links = 0;
  for (std::string name = TakeName(&path); !name.empty(); name = TakeName(&path)) {
    if (name == ".") continue;
    if (name == "..") {
      if (trail.size() > 1) trail.pop_back();
      continue;
    }
    ASSIGN_OR_RETURN(const format::Inode child, image.Find(trail.back(), name));
    if ((child.mode & kTypeMask) == kTypeDirectory) {
      trail.push_back(child);
      continue;
    }
    if ((child.mode & kTypeMask) != kTypeSymlink || ++links > kLinksMax) {
      return FailedPreconditionError(name + ": leads to no directory");
    }
    ASSIGN_OR_RETURN(const std::string_view target, image.SymlinkTarget(child));
    if (target.starts_with('/')) trail.resize(1);
    path.insert(0, target);
  }
  return trail.back();
}

}  // namespace

FindLower FindInImages(std::vector<const format::Image*> images) {
  return [images =
              std::move(images)](const std::string& path) -> Result<std::optional<LowerDirectory>> {
    for (const format::Image* image : images) {
      const Result<format::Inode> found = Follow(*image, path);
      if (found.ok()) {
        ASSIGN_OR_RETURN(LowerDirectory lower, Describe(*image, *found));
        return std::optional<LowerDirectory>(std::move(lower));
      }
      if (found.status().code() == StatusCode::kFailedPrecondition) break;
      if (found.status().code() != StatusCode::kNotFound) return found.status();
    }
    return std::optional<LowerDirectory>();
  };
}

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

}  // namespace daxfs::convert
