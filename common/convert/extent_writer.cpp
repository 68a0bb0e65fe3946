// SPDX-License-Identifier: Apache-2.0
#include "common/convert/extent_writer.hpp"

#include <isa-l/crc64.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "daxfs/format.h"

namespace daxfs::convert {
namespace {

constexpr std::uint64_t kSmallGranule = std::uint64_t{1} << 16U;
constexpr std::array<std::byte, 1U << 16U> kZeros{};

}  // namespace

std::uint64_t GranuleOf(bool huge) { return huge ? DAXFS_CHUNK_SIZE : kSmallGranule; }

std::size_t ZeroPrefix(std::span<const std::byte> bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t n = std::min(bytes.size() - at, std::size_t{4096});
    if (bytes[at] != std::byte{0} || std::memcmp(bytes.data() + at, kZeros.data(), n) != 0) break;
    at += n;
  }
  while (at < bytes.size() && bytes[at] == std::byte{0}) ++at;
  return at;
}

void GranuleScanner::Begin(std::uint64_t size_bytes, std::uint64_t granule) {
  *this = GranuleScanner();
  size_bytes_ = size_bytes;
  granule_ = granule;
}

std::uint64_t GranuleScanner::GranuleEnd(std::uint64_t position) const {
  return std::min((position / granule_ + 1) * granule_, size_bytes_);
}

void GranuleScanner::Hash(std::span<const std::byte> bytes) {
  hash_ =
      crc64_ecma_refl(hash_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

void GranuleScanner::HashZeros(std::uint64_t length) {
  while (length > 0) {
    const std::size_t n = std::min<std::uint64_t>(length, kZeros.size());
    Hash(std::span(kZeros).first(n));
    length -= n;
  }
}

void GranuleScanner::HashPlace(std::uint64_t logical) {
  if (logical != hashed_end_) Hash(std::as_bytes(std::span(&logical, 1)));
}

GranuleScanner::Found GranuleScanner::Scan(std::span<const std::byte>* bytes) {
  const std::uint64_t start = position_;
  if (!in_data_) {
    const std::uint64_t left = GranuleEnd(position_) - position_;
    const std::size_t n = std::min<std::uint64_t>(left, bytes->size());
    if (ZeroPrefix(bytes->first(n)) == n) {
      position_ += n;
      *bytes = bytes->subspan(n);
      return {};
    }
  }
  Found found;
  const std::uint64_t granule_start = start / granule_ * granule_;
  found.zeros = in_data_ ? 0 : start - granule_start;
  found.logical = start - found.zeros;
  // One answer for all neighbouring granules that hold something.
  std::uint64_t end = start;
  const std::uint64_t last = start + bytes->size();
  do {
    end = std::min(GranuleEnd(end), last);
    const std::size_t next = std::min(GranuleEnd(end), last) - end;
    if (end == last || ZeroPrefix(bytes->subspan(end - start, next)) == next) break;
  } while (end < last);
  found.bytes = bytes->first(end - start);
  *bytes = bytes->subspan(end - start);
  HashPlace(found.logical);
  HashZeros(found.zeros);
  Hash(found.bytes);
  position_ = end;
  hashed_end_ = end;
  in_data_ = end != size_bytes_ && end % granule_ != 0;
  return found;
}

GranuleScanner::Found GranuleScanner::SkipZeros(std::uint64_t length) {
  Found found;
  if (in_data_) {
    found.logical = position_;
    found.zeros = std::min(length, GranuleEnd(position_) - position_);
    HashZeros(found.zeros);
    hashed_end_ = position_ + found.zeros;
    in_data_ = hashed_end_ != GranuleEnd(position_);
  }
  position_ += length;
  return found;
}

void ExtentWriter::Begin(const Placement& placement) {
  placement_ = placement;
  stored_ = 0;
  extents_.clear();
}

Status ExtentWriter::Store(const GranuleScanner::Found& found) {
  if (found.zeros == 0 && found.bytes.empty()) return Status::Ok();
  RETURN_IF_ERROR(Open(found.logical));
  RETURN_IF_ERROR(StoreZeros(found.zeros));
  return StoreBytes(found.bytes);
}

// The last extent goes on at `logical`, or a new one begins there.
Status ExtentWriter::Open(std::uint64_t logical) {
  const auto ends_at = [this] { return extents_.back().logical + extents_.back().length; };
  if (!extents_.empty() && ends_at() == logical) return Status::Ok();
  const bool on_chunk = (placement_.offset + stored_) % DAXFS_CHUNK_SIZE == 0;
  if (on_chunk && !placement_.huge && !extents_.empty()) {
    // Only HUGE files start there: some of the hole before it is stored instead.
    RETURN_IF_ERROR(StoreZeros(kSmallGranule));
    if (ends_at() == logical) return Status::Ok();
  }
  extents_.push_back({logical, placement_.offset + stored_, 0});
  return Status::Ok();
}

Status ExtentWriter::StoreZeros(std::uint64_t length) {
  while (length > 0) {
    const std::size_t n = std::min<std::uint64_t>(length, kZeros.size());
    RETURN_IF_ERROR(StoreBytes(std::span(kZeros).first(n)));
    length -= n;
  }
  return Status::Ok();
}

Status ExtentWriter::StoreBytes(std::span<const std::byte> bytes) {
  if (bytes.empty()) return Status::Ok();
  DAXFS_CHECK(stored_ + bytes.size() <= placement_.length);
  const std::uint64_t offset = placement_.offset + stored_;
  RETURN_IF_ERROR(sink_.Write(offset, bytes));
  digests_.Written(offset, bytes);
  stored_ += bytes.size();
  extents_.back().length += bytes.size();
  return Status::Ok();
}

Status ExtentWriter::Pad() {
  const std::uint64_t rest = stored_ % DAXFS_BLOCK_SIZE;
  return rest == 0 ? Status::Ok() : StoreZeros(DAXFS_BLOCK_SIZE - rest);
}

}  // namespace daxfs::convert
