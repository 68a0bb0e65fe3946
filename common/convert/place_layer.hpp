// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "common/base/status.hpp"
#include "common/convert/image_builder.hpp"
#include "common/convert/implicit.hpp"
#include "common/oci/byte_reader.hpp"
#include "common/oci/digest.hpp"
#include "common/pool/obtain.hpp"

namespace daxfs::convert {

struct PlaceLayerRequest {
  // What it is asked for by: kDiffId and `diff_id`, or kBlob and `stored_digest`.
  pool::Key key;
  // The layer as it is stored, from its first byte on. It compares itself with `stored_digest`, if
  // there is one. Called only if there is no image yet, by PlaceLayer in the calling thread.
  std::function<Result<std::unique_ptr<oci::PositionedReader>>()> open;
  // What has to come out, nothing if unknown.
  std::optional<oci::Digest> stored_digest;
  std::optional<oci::Digest> diff_id;
  // Of all who share a pool the same: who finds an image does not ask which they were.
  BuildOptions options;
  pool::ObtainOptions waiting;
};

struct PlacedLayer {
  pool::Use use;
  oci::Digest root = {};
  oci::Digest diff_id = {};
  std::uint64_t tar_bytes = 0;  // uncompressed
  std::uint64_t implicit_directories = 0;
  pool::How how = pool::How::kBuilt;
  std::optional<ImageSummary> built;  // if this one did, also where an equal image was there then
};

// Directories of an image that no entry of its layer has named. Errors: kDataLoss.
Result<std::uint64_t> CountImplicit(const format::Image& image);

// Whether the image of a layer is another one over what is below: directories the layer does not
// name are there, or nothing is for its marks to hide. Errors: kDataLoss; those of `below.find`.
Result<bool> DiffersOver(const format::Image& image, const Below& below);

// Makes the image of a layer, all of the layer compared. `monitor` hears of stored bytes. `key` and
// `waiting` mean nothing here. Errors: kDataLoss if a digest is another; those of `open`, of the
// layer (as ApplyTar) and of the sink.
Result<ImageSummary> MakeLayer(const PlaceLayerRequest& request, Sink& sink, Monitor& monitor,
                               const Below& below = {});

// The image of a layer in a pool, found by its key, waited for, or made. It can be found by the
// layer's diffID from then on, and by the digest of the stored bytes if this one has read them:
// that a blob holds that layer is only said by who has seen it. A failure leaves nothing. Errors:
// as MakeLayer and pool::Obtain; kInvalidArgument if `key` is not one of the digests given;
// kDataLoss if what was found is damaged, or another layer's.
Result<PlacedLayer> PlaceLayer(pool::Participant& participant, const PlaceLayerRequest& request,
                               Monitor& monitor);

// The image of a layer that can be found by its root alone, made anew.
Result<PlacedLayer> PlaceLayerApart(pool::Participant& participant,
                                    const PlaceLayerRequest& request, const Below& below,
                                    Monitor& monitor);

// As PlaceLayer, of a layer of which is known what is below: as ApplyTar says. An image that
// differs for it can be found by its root alone.
Result<PlacedLayer> PlaceLayerOver(pool::Participant& participant, const PlaceLayerRequest& request,
                                   const Below& below, Monitor& monitor);

}  // namespace daxfs::convert
