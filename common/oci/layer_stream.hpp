// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "common/base/status.hpp"
#include "common/oci/blob_reader.hpp"
#include "common/oci/digest.hpp"
#include "common/oci/inflate_reader.hpp"
#include "common/oci/read_ahead.hpp"

namespace daxfs::oci {

// The tar of one layer: its blob, inflated, with both digests compared on the way, in a thread of
// its own.
class LayerStream final : public ChunkSource {
 public:
  // `diff_id`: the digest the uncompressed bytes have to have.
  LayerStream(std::unique_ptr<BlobReader> blob, const Digest& blob_digest, const Digest& diff_id);

  // The next bytes of the tar, empty at its end; valid until the next call. The end is reached only
  // when every digest was right. Errors: kDataLoss; kUnimplemented for a compression that is not
  // supported; by errno.
  Result<std::span<const std::byte>> Next() override { return ahead_.Next(); }
  // Reads whatever is left, so that everything is compared.
  Status Drain();

  // Bytes of the blob read so far.
  std::uint64_t blob_position() const { return blob_->position(); }

 private:
  // Hashes what passes and compares at the end.
  class DiffIdReader final : public ByteReader {
   public:
    DiffIdReader(ByteReader& source, const Digest& diff_id) : source_(source), diff_id_(diff_id) {}
    Result<std::size_t> Read(std::span<std::byte> out) override;

   private:
    ByteReader& source_;
    const Digest diff_id_;
    bool checked_ = false;
    Sha256 hasher_;
  };

  std::unique_ptr<BlobReader> blob_;
  InflateReader inflate_;
  DiffIdReader diff_id_;
  ReadAhead ahead_;
};

}  // namespace daxfs::oci
