// SPDX-License-Identifier: Apache-2.0
#include "common/convert/piece_digests.hpp"

#include <algorithm>

#include "daxfs/format.h"

namespace daxfs::convert {
namespace {

std::uint64_t PieceOf(std::uint64_t offset) { return offset >> DAXFS_PIECE_SHIFT; }
std::uint64_t StartOf(std::uint64_t piece) { return piece << DAXFS_PIECE_SHIFT; }

}  // namespace

void PieceDigests::Forget(std::uint64_t piece) {
  if (open_ && PieceOf(next_) == piece) open_ = false;
  if (piece < pieces_.size()) pieces_[piece].done = false;
}

void PieceDigests::Written(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t piece = PieceOf(offset);
    const std::uint64_t end = StartOf(piece + 1);
    const std::size_t n = std::min<std::size_t>(bytes.size(), end - offset);
    if (!open_ || offset != next_) Forget(piece);
    if (offset == std::max(StartOf(piece), data_offset_)) {
      hasher_.Reset();
      open_ = true;
      next_ = offset;
    }
    if (open_ && offset == next_) {
      hasher_.Update(bytes.first(n));
      next_ += n;
      if (next_ == end) {
        if (pieces_.size() <= piece) pieces_.resize(piece + 1);
        pieces_[piece] = {hasher_.Finish(), true};
      }
    }
    offset += n;
    bytes = bytes.subspan(n);
  }
}

void PieceDigests::Invalidate(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return;
  for (std::uint64_t piece = PieceOf(offset); piece <= PieceOf(offset + length - 1); ++piece) {
    Forget(piece);
  }
}

Result<oci::Digest> PieceDigests::ReadBack(std::uint64_t start, std::uint64_t end, Sink& sink) {
  buffer_.resize(DAXFS_PIECE_SIZE);
  const std::span<std::byte> bytes(buffer_.data(), end - start);
  RETURN_IF_ERROR(sink.Read(start, bytes));
  return oci::Sha256::Of(bytes);
}

Result<std::vector<oci::Digest>> PieceDigests::Finish(std::uint64_t data_end, Sink& sink) {
  std::vector<oci::Digest> table;
  if (data_end == data_offset_) return table;
  const std::uint64_t count = PieceOf(data_end - 1) + 1;
  table.reserve(count);
  for (std::uint64_t piece = 0; piece < count; ++piece) {
    const std::uint64_t start = std::max(StartOf(piece), data_offset_);
    const std::uint64_t end = std::min(StartOf(piece + 1), data_end);
    const bool whole = end == StartOf(piece + 1);
    if (whole && piece < pieces_.size() && pieces_[piece].done) {
      table.push_back(pieces_[piece].digest);
    } else if (!whole && open_ && next_ == end && PieceOf(end) == piece) {
      table.push_back(hasher_.Finish());
    } else {
      ASSIGN_OR_RETURN(const oci::Digest digest, ReadBack(start, end, sink));
      table.push_back(digest);
    }
  }
  return table;
}

}  // namespace daxfs::convert
