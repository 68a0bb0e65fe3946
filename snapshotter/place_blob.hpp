// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "common/base/status.hpp"
#include "common/containerd/content.hpp"
#include "common/convert/place_layer.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::snapshotter {

struct PlaceBlobRequest {
  containerd::Blob blob;
  std::string name_space;  // containerd's, that may see it
  convert::Below below;
  std::function<bool()> cancelled = [] { return false; };  // asked now and then
};

// The image of a layer of containerd's content store in the pool: found, waited for, or made.
// Errors: as convert::PlaceLayerOver and Content::Open; kCancelled.
Result<convert::PlacedLayer> PlaceBlob(pool::Participant& participant, containerd::Content& content,
                                       const PlaceBlobRequest& request);

}  // namespace daxfs::snapshotter
