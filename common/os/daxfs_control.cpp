// SPDX-License-Identifier: Apache-2.0
#include "common/os/daxfs_control.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/os/unique_fd.hpp"
#include "daxfs/ioctl.h"

namespace daxfs::os {
namespace {

constexpr const char* kControl = "/dev/daxfs/control";

template <typename Request>
Status SetName(const std::string& name, Request* request) {
  if (name.empty() || name.size() >= sizeof(request->name)) {
    return InvalidArgumentError("a pool's name has 1 to " +
                                std::to_string(sizeof(request->name) - 1) + " characters");
  }
  std::copy(name.begin(), name.end(), std::begin(request->name));
  return Status::Ok();
}

Status Ask(unsigned long request, const void* argument, const std::string& what) {
  const UniqueFd fd(::open(kControl, O_RDWR | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) {
    return FailedPreconditionError("the kernel module is not loaded: modprobe daxfs");
  }
  if (!fd.valid()) return Status::FromErrno(errno, kControl);
  if (::ioctl(fd.get(), request, argument) != 0) return Status::FromErrno(errno, what);
  return Status::Ok();
}

}  // namespace

bool HasDaxfsControl() { return ::access(kControl, F_OK) == 0; }

Status AttachRange(const std::string& name, const PhysicalRange& range) {
  daxfs_ioc_attach request = {};
  RETURN_IF_ERROR(SetName(name, &request));
  request.phys = range.phys;
  request.size = range.size_bytes;
  return Ask(DAXFS_IOC_ATTACH, &request, "attach " + name);
}

Status DetachRange(const std::string& name) {
  daxfs_ioc_detach request = {};
  RETURN_IF_ERROR(SetName(name, &request));
  return Ask(DAXFS_IOC_DETACH, &request, "detach " + name);
}

}  // namespace daxfs::os
