// SPDX-License-Identifier: Apache-2.0
// Mounts by daxfs.ko: one superblock an image, its pages the pool's own.
#include <linux/mount.h>

#include <cerrno>
#include <utility>

#include "common/os/daxfs_control.hpp"
#include "common/os/mount.hpp"
#include "common/pool/config.hpp"
#include "snapshotter/mounter.hpp"

namespace daxfs::snapshotter {
namespace {

// What the module calls the pool: "pool:NAME", any of its devices. Errors: kFailedPrecondition.
Result<std::string> SourceOf(const std::string& pool) {
  if (!os::HasDaxfsControl()) {
    return FailedPreconditionError("the kernel module is not loaded: modprobe daxfs");
  }
  const Result<pool::PoolConfig> config = pool::ResolvePool(pool);
  if (!config.ok()) return FailedPreconditionError(config.status().message());
  const std::string attached = pool::AttachedPath("");
  for (const std::string& device : config->devices) {
    if (device.starts_with(attached)) return "pool:" + device.substr(attached.size());
  }
  return FailedPreconditionError(
      "pool " + pool + " is not attached: daxfsctl pool attach " +
      (config->name.empty() ? "NAME, of a file NAME.yaml that says where it is" : config->name));
}

class KernelMounter final : public Mounter {
 public:
  explicit KernelMounter(std::string pool) : pool_(std::move(pool)) {}

  const char* name() const override { return "kernel"; }

  Status Mount(const oci::Digest& root, const std::string& path) override {
    // Anew each time: another pool may have that name by now.
    ASSIGN_OR_RETURN(const std::string source, SourceOf(pool_));
    // Device nodes and set-id bits count, as in every layer; what uses it decides.
    const Status mounted = os::MountFilesystem(
        {"daxfs", source, path, {{"image", root.ToString()}}, MOUNT_ATTR_RDONLY});
    // It is the pool that is not there.
    if (mounted.error_number() == ENODEV) return FailedPreconditionError(mounted.message());
    return mounted;
  }
  Status Unmount(const std::string& path) override { return os::Unmount(path); }

 private:
  const std::string pool_;
};

}  // namespace

Result<std::unique_ptr<Mounter>> MakeKernelMounter(const std::string& pool) {
  RETURN_IF_ERROR(SourceOf(pool).status());
  return std::unique_ptr<Mounter>(std::make_unique<KernelMounter>(pool));
}

}  // namespace daxfs::snapshotter
