// SPDX-License-Identifier: Apache-2.0
#include "common/oci/layer_stream.hpp"

namespace daxfs::oci {
namespace {

// Bytes stored under their diffID are the tar itself, whatever they look like.
ByteReader& TarOf(PositionedReader& stored, InflateReader& inflated, bool same) {
  if (same) return stored;
  return inflated;
}

}  // namespace

LayerStream::LayerStream(std::unique_ptr<PositionedReader> stored,
                         const std::optional<Digest>& stored_digest,
                         const std::optional<Digest>& diff_id)
    : stored_(std::move(stored)),
      inflate_(*stored_),
      tar_(diff_id, diff_id.has_value() && stored_digest == diff_id),
      ahead_(TarOf(*stored_, inflate_, diff_id.has_value() && stored_digest == diff_id), &tar_) {}

void LayerStream::DigestWatcher::See(std::span<const std::byte> bytes) {
  size_bytes_ += bytes.size();
  if (!known_) hasher_.Update(bytes);
}

Status LayerStream::DigestWatcher::End() {
  digest_ = known_ ? *expected_ : hasher_.Finish();
  if (!expected_.has_value() || digest_ == *expected_) return Status::Ok();
  return DataLossError("the uncompressed layer has " + digest_.ToString() +
                       ", the image config says " + expected_->ToString());
}

Status LayerStream::Drain() {
  for (;;) {
    ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, Next());
    if (bytes.empty()) return Status::Ok();
  }
}

}  // namespace daxfs::oci
