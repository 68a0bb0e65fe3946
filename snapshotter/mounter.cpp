// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/mounter.hpp"

namespace daxfs::snapshotter {

Result<std::unique_ptr<Mounter>> MakeMounter(const std::string& backend, const std::string& pool,
                                             const std::string& fuse_program, base::Logger& log) {
  const bool any = backend == "auto";
  if (!any && backend != "kernel" && backend != "fuse") {
    return InvalidArgumentError("mounter \"" + backend + "\": there is auto, kernel and fuse");
  }
  Result<std::unique_ptr<Mounter>> made =
      backend == "fuse" ? MakeFuseMounter(pool, fuse_program) : MakeKernelMounter(pool);
  std::string why = any ? "it works here" : "it is what was asked for";
  if (any && !made.ok()) {
    why = "not kernel: " + made.status().message();
    made = MakeFuseMounter(pool, fuse_program).WithContext(why + "; nor fuse");
  }
  if (!made.ok()) return made;
  log.Info("who mounts images", {{"backend", (*made)->name()}, {"why", why}});
  return made;
}

}  // namespace daxfs::snapshotter
