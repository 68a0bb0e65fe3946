// SPDX-License-Identifier: Apache-2.0
#include "common/convert/piece_digests.hpp"

#include <algorithm>

#include "common/oci/sha256_two.hpp"
#include "daxfs/format.h"

namespace daxfs::convert {
namespace {

std::uint64_t PieceOf(std::uint64_t offset) { return offset >> DAXFS_PIECE_SHIFT; }
std::uint64_t StartOf(std::uint64_t piece) { return piece << DAXFS_PIECE_SHIFT; }

}  // namespace

void PieceDigests::Forget(std::uint64_t piece) {
  if (open_ && PieceOf(next_) == piece) open_ = false;
  if (waiting_ == piece) waiting_.reset();
  if (piece < pieces_.size()) pieces_[piece].done = false;
}

void PieceDigests::Set(std::uint64_t piece, const oci::Digest& digest) {
  if (pieces_.size() <= piece) pieces_.resize(piece + 1);
  pieces_[piece] = {digest, true};
}

void PieceDigests::Written(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t piece = PieceOf(offset);
    const std::uint64_t end = StartOf(piece + 1);
    const std::size_t n = std::min<std::size_t>(bytes.size(), end - offset);
    if (!open_ || offset != next_) Forget(piece);
    if (offset == std::max(StartOf(piece), data_offset_)) {
      gathered_.clear();
      open_ = true;
      next_ = offset;
    }
    if (open_ && offset == next_) {
      next_ += n;
      if (n == DAXFS_PIECE_SIZE) {
        Whole(piece, bytes.first(n));
      } else {
        gathered_.insert(gathered_.end(), bytes.begin(),
                         bytes.begin() + static_cast<std::ptrdiff_t>(n));
        if (next_ == end) Whole(piece, gathered_);
      }
    }
    offset += n;
    bytes = bytes.subspan(n);
  }
}

// The piece in which the data area begins is shorter than the others.
void PieceDigests::Whole(std::uint64_t piece, std::span<const std::byte> bytes) {
  if (bytes.size() < DAXFS_PIECE_SIZE) return Set(piece, oci::Sha256::Of(bytes));
  if (!waiting_) {
    waiting_ = piece;
    waiting_bytes_.assign(bytes.begin(), bytes.end());
    return;
  }
  const auto [first, second] = oci::Sha256OfTwo(waiting_bytes_, bytes);
  Set(*waiting_, first);
  Set(piece, second);
  waiting_.reset();
}

void PieceDigests::Invalidate(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return;
  for (std::uint64_t piece = PieceOf(offset); piece <= PieceOf(offset + length - 1); ++piece) {
    Forget(piece);
  }
}

Result<oci::Digest> PieceDigests::ReadBack(std::uint64_t start, std::uint64_t end, Sink& sink) {
  waiting_bytes_.resize(end - start);
  RETURN_IF_ERROR(sink.Read(start, waiting_bytes_));
  return oci::Sha256::Of(waiting_bytes_);
}

Result<std::vector<oci::Digest>> PieceDigests::Finish(std::uint64_t data_end, Sink& sink) {
  std::vector<oci::Digest> table;
  if (waiting_) Set(*waiting_, oci::Sha256::Of(waiting_bytes_));
  waiting_.reset();
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
      table.push_back(oci::Sha256::Of(gathered_));
    } else {
      ASSIGN_OR_RETURN(const oci::Digest digest, ReadBack(start, end, sink));
      table.push_back(digest);
    }
  }
  return table;
}

}  // namespace daxfs::convert
