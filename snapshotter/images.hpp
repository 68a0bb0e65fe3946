// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/digest.hpp"
#include "snapshotter/store.hpp"

namespace daxfs::snapshotter {

// The layers' images: where they are kept, and how they become visible. Thread safe.
class Images {
 public:
  virtual ~Images() = default;

  // The image of the layer that ends the chain `chain`, if somebody has placed it. Does not wait
  // for who is placing it. Errors: kUnavailable without a pool.
  virtual Result<std::optional<LayerImage>> FindChain(const oci::Digest& chain) = 0;
  // The chain ends with that image: others find it by that. Errors: kNotFound; kResourceExhausted.
  virtual Status AddChain(const LayerImage& image, const oci::Digest& chain,
                          const std::optional<oci::Digest>& parent) = 0;

  // The image stays until the holder drops it, a name of one's own that holds one image at a time.
  // Errors: kNotFound if it has gone.
  virtual Status Hold(const LayerImage& image, const std::string& holder) = 0;
  // Who holds nothing is no error.
  virtual Status Drop(const std::string& holder) = 0;
  // Drops what is held by those whose name begins so and who are none of `holders`: of a store that
  // was restored, of a change a crash has cut off. Those of `holders` who hold nothing: what they
  // held was lost.
  virtual Result<std::vector<std::string>> Reconcile(const std::string& prefix,
                                                     const std::vector<std::string>& holders) = 0;
  // How often the pool was joined, 0: never yet. When that changes all that was held is lost, and
  // what is mounted may be others' bytes.
  virtual std::uint64_t Joined() = 0;

  // Whether it can be had now. Errors: kUnavailable without a pool.
  virtual Result<bool> IsPlaced(const LayerImage& image) = 0;
  // The image of the same layer once more, over the directories of the layers below, the uppermost
  // first: of others, or made from what containerd has. It is held when this returns. `cancelled`
  // is asked now and then. Errors: kNotFound if nobody has it any more, with what to do;
  // kCancelled.
  virtual Result<LayerImage> Restore(const LayerImage& image, const std::string& holder,
                                     const std::vector<std::string>& below,
                                     const std::function<bool()>& cancelled) = 0;

  // Whether directories of it that its layer does not name may be others over other layers. Errors:
  // kNotFound.
  virtual Result<bool> DependsOnBelow(const LayerImage& image) = 0;
  // Of pool memory, and in the image. Errors: kNotFound.
  virtual Result<Usage> Measure(const LayerImage& image) = 0;

  // The image is mounted at `path`, a directory that is made if it is missing, when this returns,
  // whoever did it. Errors: kNotFound if the image has gone, with what to do; kResourceExhausted if
  // too many are mounted.
  virtual Status Mount(const LayerImage& image, const std::string& path) = 0;
  // Nothing is mounted there any more.
  virtual Status Unmount(const std::string& path) = 0;
  // The same, and the directory has gone, until Mount: who was told of it and uses it now fails,
  // instead of seeing nothing in it. Whether something was mounted.
  virtual Result<bool> Withdraw(const std::string& path) = 0;
};

}  // namespace daxfs::snapshotter
