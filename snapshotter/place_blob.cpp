// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/place_blob.hpp"

#include <memory>

#include "common/oci/blob_reader.hpp"
#include "common/oci/manifest.hpp"

namespace daxfs::snapshotter {
namespace {

// Ends the work when nobody waits for it any more.
class Watch final : public convert::Monitor {
 public:
  explicit Watch(const std::function<bool()>& cancelled) : cancelled_(cancelled) {}
  Status Advance(std::uint64_t /*source_bytes*/, std::uint64_t /*entries*/) override {
    // Asking gRPC takes longer than an entry of a tar.
    return steps_++ % kStepsBetweenLooks == 0 ? Look() : Status::Ok();
  }
  Status Look() const {
    if (cancelled_()) return CancelledError("nobody waits for the layer any more");
    return Status::Ok();
  }

 private:
  static constexpr std::uint64_t kStepsBetweenLooks = 64;
  const std::function<bool()>& cancelled_;
  std::uint64_t steps_ = 0;
};

}  // namespace

Result<convert::PlacedLayer> PlaceBlob(pool::Participant& participant, containerd::Content& content,
                                       const PlaceBlobRequest& request) {
  const containerd::Blob& blob = request.blob;
  RETURN_IF_ERROR(oci::CheckLayerType(blob.media_type));
  Watch watch(request.cancelled);
  convert::PlaceLayerRequest place;
  place.key = {pool::AliasKind::kBlob, blob.digest.bytes};
  place.stored_digest = blob.digest;
  place.waiting.waiting = [&](std::uint64_t /*progress_bytes*/) { return watch.Look(); };
  place.open = [&]() -> Result<std::unique_ptr<oci::PositionedReader>> {
    ASSIGN_OR_RETURN(std::unique_ptr<oci::ByteReader> stored,
                     content.Open(blob, request.name_space));
    return std::unique_ptr<oci::PositionedReader>(
        std::make_unique<oci::BlobReader>(std::move(stored), blob.digest, blob.size_bytes));
  };
  return convert::PlaceLayerOver(participant, place, request.below, watch);
}

}  // namespace daxfs::snapshotter
