// SPDX-License-Identifier: Apache-2.0
#include "common/os/filesystem.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "common/os/temp_dir.hpp"

namespace daxfs::os {
namespace {

// By the mount with that device number in /proc/self/mountinfo (proc(5)): field 3 is MAJOR:MINOR,
// the type is behind the field "-".
std::string TypeOf(dev_t device) {
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string wanted =
      std::to_string(::major(device)) + ":" + std::to_string(::minor(device));
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id;
    std::string parent;
    std::string number;
    fields >> id >> parent >> number;
    const std::size_t dash = line.find(" - ");
    if (number != wanted || dash == std::string::npos) continue;
    const std::string rest = line.substr(dash + 3);
    return rest.substr(0, rest.find(' '));
  }
  return "unknown";
}

// Whether the one directory in `path` is said to be one.
Result<bool> SaysTypes(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return Status::FromErrno(errno, path);
  while (const dirent* entry = ::readdir(directory.get())) {
    if (std::strcmp(entry->d_name, "directory") == 0) return entry->d_type == DT_DIR;
  }
  return false;
}

}  // namespace

Result<UpperFacts> ProbeUpper(const std::string& path) {
  UpperFacts facts;
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return Status::FromErrno(errno, path);
  facts.type = TypeOf(info.st_dev);
  ASSIGN_OR_RETURN(const TempDir own, TempDir::Create(path + "/.daxfs-probe-"));
  const std::string below = own.path() + "/directory";
  if (::mkdir(below.c_str(), 0700) != 0) return Status::FromErrno(errno, below);
  ASSIGN_OR_RETURN(facts.entry_types, SaysTypes(own.path()));
  facts.xattrs = ::lsetxattr(below.c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0;
  if (!facts.xattrs && errno == EPERM) return Status::FromErrno(errno, "trusted.*, " + path);
  return facts;
}

}  // namespace daxfs::os
