// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/os/mount.hpp"
#include "snapshotter/images.hpp"

namespace daxfs::snapshotter {

// No pool is configured: nothing is placed, and layers are directories.
class NoImages : public Images {
 public:
  Result<std::optional<LayerImage>> FindChain(const oci::Digest& /*chain*/) override {
    return std::optional<LayerImage>();
  }
  Status AddChain(const LayerImage& /*image*/, const oci::Digest& /*chain*/,
                  const std::optional<oci::Digest>& /*parent*/) override {
    return Missing();
  }
  Status Hold(const LayerImage& /*image*/, const std::string& /*holder*/) override {
    return Missing();
  }
  Status Drop(const std::string& /*holder*/) override { return Status::Ok(); }
  Result<std::vector<std::string>> Reconcile(const std::string& /*prefix*/,
                                             const std::vector<std::string>& holders) override {
    return holders;
  }
  std::uint64_t Joined() override { return 0; }
  Result<bool> IsPlaced(const LayerImage& /*image*/) override { return false; }
  Result<LayerImage> Restore(const LayerImage& image, const std::string& /*holder*/,
                             const std::vector<std::string>& /*below*/,
                             const std::function<bool()>& /*cancelled*/) override {
    return Gone(image);
  }
  Result<bool> DependsOnBelow(const LayerImage& /*image*/) override { return Missing(); }
  Result<Usage> Measure(const LayerImage& /*image*/) override { return Missing(); }
  Status Mount(const LayerImage& image, const std::string& /*path*/) override {
    return Gone(image);
  }
  Status Unmount(const std::string& path) override { return os::Unmount(path); }
  Result<bool> Withdraw(const std::string& path) override {
    RETURN_IF_ERROR(os::Unmount(path));
    return false;
  }

 private:
  static Status Gone(const LayerImage& image) {
    return NotFoundError("image " + image.root.ToString() +
                         ": no pool is configured; name the pool it is in as `pool:`");
  }
  static Status Missing() { return FailedPreconditionError("no pool is configured"); }
};

}  // namespace daxfs::snapshotter
