// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "common/base/log.hpp"
#include "common/containerd/content.hpp"
#include "common/pool/membership.hpp"
#include "snapshotter/catalog.hpp"
#include "snapshotter/images.hpp"
#include "snapshotter/mounter.hpp"

namespace daxfs::snapshotter {

// The images of one pool, mounted by a Mounter. What the pool has lost comes from containerd.
class PoolImages final : public Images {
 public:
  // Borrows all.
  PoolImages(pool::Membership& membership, Mounter& mounter, Catalog& catalog,
             containerd::Content& content, base::Logger& log)
      : membership_(membership),
        mounter_(mounter),
        catalog_(catalog),
        content_(content),
        log_(log) {}

  Result<std::optional<LayerImage>> FindChain(const oci::Digest& chain) override;
  Status AddChain(const LayerImage& image, const oci::Digest& chain,
                  const std::optional<oci::Digest>& parent) override;
  Status Hold(const LayerImage& image, const std::string& holder) override;
  Status Drop(const std::string& holder) override;
  Result<std::vector<std::string>> Reconcile(const std::string& prefix,
                                             const std::vector<std::string>& holders) override;
  std::uint64_t Joined() override { return membership_.Joined(); }
  Result<bool> IsPlaced(const LayerImage& image) override;
  Result<LayerImage> Restore(const LayerImage& image, const std::string& holder,
                             const std::vector<std::string>& below,
                             const std::function<bool()>& cancelled) override;
  Result<bool> DependsOnBelow(const LayerImage& image) override;
  Result<Usage> Measure(const LayerImage& image) override;
  Status Mount(const LayerImage& image, const std::string& path) override;
  Status Unmount(const std::string& path) override;
  Result<bool> Withdraw(const std::string& path) override;

 private:
  // A use, and whose it is.
  struct Taken {
    std::shared_ptr<pool::Participant> participant;
    pool::Use use;
  };
  Result<Taken> Take(const LayerImage& image);

  // As long as it lives nobody else mounts or unmounts at that path. Elsewhere they do: who
  // unmounts does not wait for everybody who mounts.
  class Alone {
   public:
    Alone(PoolImages& images, const std::string& path);
    ~Alone();
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

   private:
    PoolImages& images_;
    const std::string& path_;
  };

  pool::Membership& membership_;
  Mounter& mounter_;
  Catalog& catalog_;
  containerd::Content& content_;
  base::Logger& log_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> busy_;  // paths; under mutex_
};

}  // namespace daxfs::snapshotter
