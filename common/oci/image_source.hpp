// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/byte_reader.hpp"
#include "common/oci/digest.hpp"
#include "common/oci/manifest.hpp"

namespace daxfs::oci {

// One layer as its source stores it.
struct LayerRef {
  Digest diff_id;                // of the tar, from the image's config
  std::optional<Digest> digest;  // of the stored bytes, where the source names it
  std::uint64_t size_bytes = 0;  // of the stored bytes
  std::string location;          // file or member that holds them
};

// One image, everything but the layers' bytes read and verified.
struct ImageRef {
  std::string name;  // its manifest's digest or its tag, for messages
  Platform platform;
  std::vector<LayerRef> layers;  // lowest first
  std::string config_json;
};

// Something that holds container images.
class ImageSource {
 public:
  virtual ~ImageSource() = default;

  // The image called `reference` (empty: the only one) for `platform` (empty: this host's, or
  // whatever there is if there is but one). Errors: kNotFound, listing what there is;
  // kFailedPrecondition if several fit; kDataLoss; kInvalidArgument for damaged documents.
  virtual Result<ImageRef> Find(const std::string& reference,
                                const std::string& platform) const = 0;

  // The stored bytes, which verify themselves where `digest` is known. Errors: kNotFound, by errno.
  virtual Result<std::unique_ptr<PositionedReader>> OpenLayer(const LayerRef& layer) const = 0;

  // Nobody wants anything of it any more: who waits for bytes from afar fails soon. Thread safe.
  virtual void GiveUp() const {}
};

// The layers of a config whose diff_ids have to be `count`. Errors: kInvalidArgument.
Status CheckLayerCount(const ImageConfig& config, std::size_t count);

}  // namespace daxfs::oci
