// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "common/base/log.hpp"
#include "common/pool/participant.hpp"
#include "snapshotter/images.hpp"
#include "snapshotter/mounter.hpp"

namespace daxfs::snapshotter {

// The images of one pool, mounted by a Mounter.
class PoolImages final : public Images {
 public:
  // Borrows the mounter and the log.
  PoolImages(std::shared_ptr<pool::Participant> participant, Mounter& mounter, base::Logger& log);

  Result<std::optional<LayerImage>> FindChain(const oci::Digest& chain) override;
  Status AddChain(const LayerImage& image, const oci::Digest& chain,
                  const std::optional<oci::Digest>& parent) override;
  Result<bool> IsPlaced(const LayerImage& image) override;
  Status Hold(const LayerImage& image, const std::string& holder) override;
  Status Drop(const std::string& holder) override;
  Status Reconcile(const std::string& prefix, const std::vector<std::string>& holders) override;
  Result<Usage> Measure(const LayerImage& image) override;
  Status Mount(const LayerImage& image, const std::string& path) override;
  Status Unmount(const std::string& path) override;

 private:
  Result<pool::Use> Take(const LayerImage& image);

  const std::shared_ptr<pool::Participant> participant_;
  Mounter& mounter_;
  base::Logger& log_;
  std::mutex mounting_;  // one mounts at a time, and looks first
};

}  // namespace daxfs::snapshotter
