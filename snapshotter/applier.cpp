// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/applier.hpp"

#include <memory>
#include <utility>

#include "common/convert/place_layer.hpp"
#include "common/oci/blob_reader.hpp"
#include "common/oci/manifest.hpp"

namespace daxfs::snapshotter {
namespace {

// Ends the work when nobody waits for it any more.
class Watch final : public convert::Monitor {
 public:
  explicit Watch(const std::function<bool()>& cancelled) : cancelled_(cancelled) {}
  Status Advance(std::uint64_t /*source_bytes*/, std::uint64_t /*entries*/) override {
    if (cancelled_()) return CancelledError("nobody waits for the layer any more");
    return Status::Ok();
  }

 private:
  const std::function<bool()>& cancelled_;
};

}  // namespace

Result<Tar> Applier::Apply(const ApplyRequest& request) {
  const Blob& blob = request.blob;
  RETURN_IF_ERROR(oci::CheckLayerType(blob.media_type));
  ASSIGN_OR_RETURN(const Snapshot target, snapshotter_.FindTarget(request.mounts));
  Watch watch(request.cancelled);
  convert::PlaceLayerRequest place;
  place.key = {pool::AliasKind::kBlob, blob.digest.bytes};
  place.stored_digest = blob.digest;
  place.waiting.waiting = [&](std::uint64_t /*progress_bytes*/) { return watch.Advance(0, 0); };
  place.open = [&]() -> Result<std::unique_ptr<oci::PositionedReader>> {
    ASSIGN_OR_RETURN(std::unique_ptr<oci::ByteReader> stored,
                     content_.Open(blob, request.name_space));
    return std::unique_ptr<oci::PositionedReader>(
        std::make_unique<oci::BlobReader>(std::move(stored), blob.digest, blob.size_bytes));
  };
  ASSIGN_OR_RETURN(std::vector<std::string> below, snapshotter_.LayersBelow(target));
  ASSIGN_OR_RETURN(const convert::PlacedLayer placed,
                   convert::PlaceLayerOver(participant_, place,
                                           convert::FindInDirectories(std::move(below)), watch));
  RETURN_IF_ERROR(snapshotter_.SetImage(target, {placed.root, placed.diff_id}));
  log_.Info("layer", {{"blob", blob.digest.ToString()},
                      {"diff_id", placed.diff_id.ToString()},
                      {"how", pool::HowText(placed.how)},
                      {"bytes", placed.tar_bytes},
                      {"implicit_directories", placed.implicit_directories}});
  return Tar{placed.diff_id, placed.tar_bytes, placed.how};
}

}  // namespace daxfs::snapshotter
