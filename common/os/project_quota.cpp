// SPDX-License-Identifier: Apache-2.0
#include "common/os/project_quota.hpp"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace daxfs::os {
namespace {

constexpr std::uint64_t kBlock = 1024;               // QIF_DQBLKSIZE
constexpr std::uint64_t kMost = INT64_MAX / kBlock;  // file systems count bytes with a sign

// quotactl_fd(2), which the C library does not have. 0, or errno.
int Control(int fd, unsigned command, std::uint32_t id, void* argument) {
  return ::syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), id, argument) == 0 ? 0 : errno;
}

Result<UniqueFd> OpenDirectory(const std::string& directory, int flags = O_NOFOLLOW) {
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
  if (fd.get() < 0) return Status::FromErrno(errno, directory);
  return fd;
}

Result<fsxattr> Attributes(int fd, const std::string& directory) {
  fsxattr attributes = {};
  if (::ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0) return Status::FromErrno(errno, directory);
  return attributes;
}

}  // namespace

Result<std::optional<ProjectQuotas>> ProjectQuotas::On(const std::string& directory) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenDirectory(directory, 0));
  fs_quota_statv state = {};
  state.qs_version = FS_QSTATV_VERSION1;
  // Whatever keeps us from asking keeps us from limiting.
  const int error = Control(fd.get(), Q_XGETQSTATV, 0, &state);
  if (error != 0 || (state.qs_flags & FS_QUOTA_PDQ_ENFD) == 0) {
    return std::optional<ProjectQuotas>();
  }
  return std::optional(ProjectQuotas(std::move(fd)));
}

Result<ProjectUse> ProjectQuotas::Look(std::uint32_t project) const {
  if_dqblk found = {};
  const int error = Control(fd_.get(), Q_GETQUOTA, project, &found);
  if (error == ENOENT) return ProjectUse();
  if (error != 0) return Status::FromErrno(error, "project quotas");
  return ProjectUse{found.dqb_curspace != 0 || found.dqb_curinodes != 0,
                    found.dqb_bhardlimit * kBlock};
}

Result<std::uint32_t> ProjectQuotas::ProjectOf(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(directory));
  ASSIGN_OR_RETURN(const fsxattr attributes, Attributes(fd.get(), directory));
  return attributes.fsx_projid;
}

Status ProjectQuotas::Assign(const std::string& directory, std::uint32_t project) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(directory));
  ASSIGN_OR_RETURN(fsxattr attributes, Attributes(fd.get(), directory));
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (::ioctl(fd.get(), FS_IOC_FSSETXATTR, &attributes) != 0) {
    return Status::FromErrno(errno, directory);
  }
  return Status::Ok();
}

Status ProjectQuotas::Limit(std::uint32_t project, std::uint64_t bytes) const {
  if_dqblk wanted = {};
  const std::uint64_t blocks = bytes / kBlock + (bytes % kBlock != 0 ? 1 : 0);
  wanted.dqb_bhardlimit = std::min(blocks, kMost);
  wanted.dqb_valid = QIF_BLIMITS;
  const int error = Control(fd_.get(), Q_SETQUOTA, project, &wanted);
  return error == 0 ? Status::Ok() : Status::FromErrno(error, "project quotas");
}

}  // namespace daxfs::os
