// SPDX-License-Identifier: Apache-2.0
#include "common/oci/layer_stream.hpp"

namespace daxfs::oci {
namespace {

// A blob named by its diffID is the tar itself: the blob's own digest says it all.
ByteReader& WithoutCopyOfDigest(ByteReader& blob, ByteReader& checked, bool same) {
  return same ? blob : checked;
}

}  // namespace

LayerStream::LayerStream(std::unique_ptr<BlobReader> blob, const Digest& blob_digest,
                         const Digest& diff_id)
    : blob_(std::move(blob)),
      inflate_(*blob_),
      diff_id_(inflate_, diff_id),
      ahead_(WithoutCopyOfDigest(*blob_, diff_id_, blob_digest == diff_id)) {}

Result<std::size_t> LayerStream::DiffIdReader::Read(std::span<std::byte> out) {
  ASSIGN_OR_RETURN(const std::size_t n, source_.Read(out));
  hasher_.Update(out.first(n));
  if (n > 0 || checked_) return n;
  const Digest actual = hasher_.Finish();
  if (actual != diff_id_) {
    return DataLossError("the uncompressed layer has " + actual.ToString() +
                         ", the image config says " + diff_id_.ToString());
  }
  checked_ = true;
  return n;
}

Status LayerStream::Drain() {
  for (;;) {
    ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, Next());
    if (bytes.empty()) return Status::Ok();
  }
}

}  // namespace daxfs::oci
