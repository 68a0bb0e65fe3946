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

}  // namespace daxfs::convert
