// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/mounter.hpp"

#include <functional>
#include <mutex>
#include <utility>

#include "common/os/mount.hpp"

namespace daxfs::snapshotter {
namespace {

class LaterMounter final : public Mounter {
 public:
  explicit LaterMounter(std::function<Result<std::unique_ptr<Mounter>>()> make)
      : make_(std::move(make)) {}

  const char* name() const override {
    const std::lock_guard lock(mutex_);
    return mounter_ ? mounter_->name() : "";
  }
  Status Mount(const oci::Digest& root, const std::string& path) override {
    ASSIGN_OR_RETURN(Mounter* const mounter, Get());
    return mounter->Mount(root, path);
  }
  Status Unmount(const std::string& path) override { return os::Unmount(path); }

  Result<Mounter*> Get() {
    const std::lock_guard lock(mutex_);
    if (!mounter_) {
      ASSIGN_OR_RETURN(mounter_, make_());
    }
    return mounter_.get();
  }

 private:
  const std::function<Result<std::unique_ptr<Mounter>>()> make_;
  mutable std::mutex mutex_;
  std::unique_ptr<Mounter> mounter_;
};

}  // namespace

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

std::unique_ptr<Mounter> MakeMounterLater(const std::string& backend, const std::string& pool,
                                          const std::string& fuse_program, base::Logger& log) {
  auto later = std::make_unique<LaterMounter>(
      [=, &log] { return MakeMounter(backend, pool, fuse_program, log); });
  const Status now = later->Get().status();
  if (!now.ok()) log.Warning("images cannot be mounted yet", {{"err", now.message()}});
  return later;
}

}  // namespace daxfs::snapshotter
