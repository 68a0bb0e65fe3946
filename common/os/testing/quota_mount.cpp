// SPDX-License-Identifier: Apache-2.0
#include "common/os/testing/quota_mount.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "common/os/process.hpp"
#include "common/os/testing/mounts.hpp"

namespace daxfs::os::testing {
namespace {

// What a command said when it failed; "": it did not.
std::string WhyNot(const std::vector<std::string>& command) {
  const Result<ProgramEnd> end = RunProgram(command);
  if (!end.ok()) return end.status().message();
  if (end->exit_status == 0) return "";
  return command[0] + ": " + end->said;
}

}  // namespace

QuotaMount::QuotaMount() : why_not_(WhyNoMounts()) {
  const std::string file = scratch_.path() + "/ext4";
  if (why_not_.empty() && ::mkdir(path().c_str(), 0700) != 0) why_not_ = "no directory to mount at";
  if (why_not_.empty()) {
    why_not_ = WhyNot(
        {"/sbin/mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", file, "64M"});
  }
  if (why_not_.empty()) why_not_ = WhyNot({"/bin/mount", "-o", "loop,prjquota", file, path()});
}

QuotaMount::~QuotaMount() {
  if (why_not_.empty()) ::umount2(path().c_str(), MNT_DETACH);
}

bool FitsForAContainer(const std::string& path, std::uint64_t bytes) {
  const Result<ProgramEnd> end =
      RunProgram({"/usr/bin/setpriv", "--bounding-set", "-sys_resource", "/bin/dd", "if=/dev/zero",
                  "of=" + path, "bs=65536", "count=" + std::to_string(bytes / 65536)});
  return end.ok() && end->exit_status == 0;
}

}  // namespace daxfs::os::testing
