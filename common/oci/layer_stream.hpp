// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "common/base/status.hpp"
#include "common/oci/byte_reader.hpp"
#include "common/oci/digest.hpp"
#include "common/oci/inflate_reader.hpp"
#include "common/oci/read_ahead.hpp"

namespace daxfs::oci {

// A tar from its stored bytes: read and inflated in a thread of its own, its digest taken in
// another.
class LayerStream final : public ChunkSource {
 public:
  // `stored_digest`: what `stored` compares itself, if it does. `diff_id`: the digest the tar has
  // to have; nothing to have it computed only.
  LayerStream(std::unique_ptr<PositionedReader> stored, const std::optional<Digest>& stored_digest,
              const std::optional<Digest>& diff_id);

  // The next bytes of the tar, empty at its end; valid until the next call. The end is reached only
  // when every digest was right. Errors: kDataLoss; kUnimplemented for a compression that is not
  // supported; the source's.
  Result<std::span<const std::byte>> Next() override { return ahead_.Next(); }
  // Reads whatever is left, so that everything is compared.
  Status Drain();

  // Stored bytes read so far.
  std::uint64_t position() const { return stored_->position(); }
  // Of the tar. Requires: Drain succeeded.
  const Digest& diff_id() const { return tar_.digest(); }
  // All of the tar that was hashed. Requires: Drain succeeded.
  std::uint64_t size_bytes() const { return tar_.size_bytes(); }

 private:
  // Hashes what passes and compares at the end.
  class DigestWatcher final : public ByteWatcher {
   public:
    DigestWatcher(const std::optional<Digest>& expected, bool known)
        : expected_(expected), known_(known) {}
    void See(std::span<const std::byte> bytes) override;
    Status End() override;
    const Digest& digest() const { return digest_; }
    std::uint64_t size_bytes() const { return size_bytes_; }

   private:
    const std::optional<Digest> expected_;
    const bool known_;  // the source compares the same digest: once is enough
    std::uint64_t size_bytes_ = 0;
    Sha256 hasher_;
    Digest digest_;
  };

  std::unique_ptr<PositionedReader> stored_;
  InflateReader inflate_;
  DigestWatcher tar_;
  ReadAhead ahead_;
};

}  // namespace daxfs::oci
