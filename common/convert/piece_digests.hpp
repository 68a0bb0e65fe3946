// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/sink.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::convert {

// The digest table: SHA-256 of each 64 KiB piece of the data area (docs/format.md, "Root"). Bytes
// that arrive in order are hashed on their way, whole pieces two at a time; a piece that was filled
// out of order or changed is read back at the end. Memory: two pieces, and 40 bytes a piece.
class PieceDigests {
 public:
  explicit PieceDigests(std::uint64_t data_offset)
      : data_offset_(data_offset), next_(data_offset) {}

  // `bytes` were just written at `offset`.
  void Written(std::uint64_t offset, std::span<const std::byte> bytes);
  // The range no longer holds what was announced.
  void Invalidate(std::uint64_t offset, std::uint64_t length);
  // The table for a data area that ends at `data_end`, in order. Errors: those of sink.Read.
  Result<std::vector<oci::Digest>> Finish(std::uint64_t data_end, Sink& sink);

 private:
  struct Piece {
    oci::Digest digest;
    bool done = false;
  };
  using Bytes = std::vector<std::byte>;

  void Forget(std::uint64_t piece);
  void Whole(std::uint64_t piece, std::span<const std::byte> bytes);
  void Set(std::uint64_t piece, const oci::Digest& digest);
  Result<oci::Digest> ReadBack(std::uint64_t start, std::uint64_t end, Sink& sink);

  const std::uint64_t data_offset_;
  std::vector<Piece> pieces_;
  std::uint64_t next_;  // gathered_ holds the bytes of next_'s piece up to here, if open_
  bool open_ = true;
  Bytes gathered_;
  std::optional<std::uint64_t> waiting_;  // a whole piece whose digest waits for another
  Bytes waiting_bytes_;
};

}  // namespace daxfs::convert
