// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::snapshotter {

// Makes images of one pool visible. Thread safe.
class Mounter {
 public:
  virtual ~Mounter() = default;

  // "kernel" or "fuse".
  virtual const char* name() const = 0;
  // Mounts the image with that root at `path`, an existing directory on which nothing is mounted,
  // as os::IsMountPoint says; when it returns the image is to be seen there. What it mounted stays
  // when this process ends, however it ends. Errors: kNotFound if the image is not in the pool;
  // kResourceExhausted if that takes no participant more: what is unmounted makes room, in a
  // moment.
  virtual Status Mount(const oci::Digest& root, const std::string& path) = 0;
  // Nothing is mounted there any more; who uses it keeps it as long. What served it ends by itself.
  virtual Status Unmount(const std::string& path) = 0;
};

// `backend`: "kernel" (daxfs.ko), "fuse" (a daxfs-fuse for each image, `fuse_program`), or "auto",
// the first of them that works here; the log says which and why. `pool` as pool::ResolvePool reads
// it. Errors: kInvalidArgument for another backend; kFailedPrecondition if it does not work here,
// with what to do.
Result<std::unique_ptr<Mounter>> MakeMounter(const std::string& backend, const std::string& pool,
                                             const std::string& fuse_program, base::Logger& log);

// The same, made when something is to be mounted or unmounted for the first time that it can be: a
// pool may come later. Borrows the log.
std::unique_ptr<Mounter> MakeMounterLater(const std::string& backend, const std::string& pool,
                                          const std::string& fuse_program, base::Logger& log);

// Each of them alone. Errors: kFailedPrecondition, likewise.
Result<std::unique_ptr<Mounter>> MakeKernelMounter(const std::string& pool);
Result<std::unique_ptr<Mounter>> MakeFuseMounter(const std::string& pool,
                                                 const std::string& fuse_program);

}  // namespace daxfs::snapshotter
