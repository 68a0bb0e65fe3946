// SPDX-License-Identifier: Apache-2.0
#include "common/convert/data_writer.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "daxfs/format.h"

namespace daxfs::convert {
namespace {

// A file up to this size is held until its place is known; larger ones are written while they
// arrive.
constexpr std::size_t kBufferedMax = std::size_t{1} << 20U;
constexpr std::size_t kCompareStep = std::size_t{1} << 18U;
// Somebody who crafts files with equal hashes costs us this many comparisons each, not a quadratic
// number.
constexpr std::size_t kCandidatesMax = 8;
constexpr std::size_t kDeadExtentsMin = 4096;

bool SamePlaces(std::span<const Extent> a, std::span<const Extent> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Extent& x, const Extent& y) {
    return x.logical == y.logical && x.length == y.length;
  });
}

}  // namespace

DataWriter::DataWriter(Sink& sink, const LayoutOptions& options)
    : sink_(sink),
      data_offset_(DAXFS_BLOCK_SIZE),
      huge_min_(options.huge_min_bytes),
      planner_(data_offset_, options),
      digests_(data_offset_),
      blocks_(1),
      writer_(sink, digests_) {}

std::uint64_t DataWriter::Granule() const {
  return GranuleOf(huge_min_ != 0 && size_bytes_ >= huge_min_);
}

Status DataWriter::Begin(std::uint64_t size_bytes) {
  DAXFS_CHECK(!open_);
  size_bytes_ = size_bytes;
  streamed_ = size_bytes > kBufferedMax;
  buffer_.clear();
  scanner_.Begin(size_bytes, Granule());
  if (streamed_) {
    ASSIGN_OR_RETURN(placement_, planner_.Place(size_bytes));
    writer_.Begin(placement_);
  }
  open_ = true;
  return Status::Ok();
}

Status DataWriter::CheckRoom(std::uint64_t length) const {
  DAXFS_CHECK(open_);
  const std::uint64_t done = streamed_ ? scanner_.position() : buffer_.size();
  if (length <= size_bytes_ - done) return Status::Ok();
  return InvalidArgumentError("more data than the announced " + std::to_string(size_bytes_) +
                              " bytes");
}

Status DataWriter::Append(std::span<const std::byte> bytes) {
  RETURN_IF_ERROR(CheckRoom(bytes.size()));
  if (streamed_) return StoreOpenFile(bytes);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return Status::Ok();
}

Status DataWriter::AppendZeros(std::uint64_t length) {
  RETURN_IF_ERROR(CheckRoom(length));
  if (streamed_) return writer_.Store(scanner_.SkipZeros(length));
  buffer_.resize(buffer_.size() + length);
  return Status::Ok();
}

Status DataWriter::StoreOpenFile(std::span<const std::byte> bytes) {
  while (!bytes.empty()) RETURN_IF_ERROR(writer_.Store(scanner_.Scan(&bytes)));
  return Status::Ok();
}

Result<DataId> DataWriter::End() {
  DAXFS_CHECK(open_);
  open_ = false;
  const std::uint64_t done = streamed_ ? scanner_.position() : buffer_.size();
  if (done != size_bytes_) {
    return DataLossError("data ends after " + std::to_string(done) + " of " +
                         std::to_string(size_bytes_) + " bytes");
  }
  if (size_bytes_ == 0) return kNoData;
  if (streamed_) return EndStreamed({size_bytes_, scanner_.hash()});
  // Once to know it, and, if it is new, once more to store it.
  bool empty = true;
  for (std::span<const std::byte> rest = buffer_; !rest.empty();) {
    empty = scanner_.Scan(&rest).bytes.empty() && empty;
  }
  if (empty) return kNoData;
  return EndBuffered({size_bytes_, scanner_.hash()});
}

Result<DataId> DataWriter::EndStreamed(const Key& key) {
  if (writer_.stored_bytes() == 0) {
    planner_.Free(placement_);
    return kNoData;
  }
  RETURN_IF_ERROR(writer_.Pad());
  ASSIGN_OR_RETURN(const DataId same, FindSame(key));
  if (same == kNoData) return AddBlock(key);
  digests_.Invalidate(placement_.offset, writer_.stored_bytes());
  planner_.Free(placement_);
  return same;
}

Result<DataId> DataWriter::EndBuffered(const Key& key) {
  ASSIGN_OR_RETURN(const DataId same, FindSame(key));
  if (same != kNoData) return same;
  ASSIGN_OR_RETURN(placement_, planner_.Place(key.size_bytes));
  writer_.Begin(placement_);
  // With its padding, so that a small file is one write. It belongs to the last granule and changes
  // no hole.
  buffer_.resize(placement_.length);
  scanner_.Begin(buffer_.size(), Granule());
  RETURN_IF_ERROR(StoreOpenFile(buffer_));
  return AddBlock(key);
}

// The data that equals the open file's, with one user more; kNoData if there is none.
Result<DataId> DataWriter::FindSame(const Key& key) {
  const auto candidates = by_content_.find(key);
  if (candidates == by_content_.end()) return kNoData;
  for (const DataId id : candidates->second) {
    ASSIGN_OR_RETURN(const bool same, SameAsBlock(id));
    if (!same) continue;
    ++blocks_[id].users;
    shared_bytes_ += key.size_bytes;
    return id;
  }
  return kNoData;
}

Result<bool> DataWriter::SameAsBlock(DataId id) {
  const std::span<const Extent> theirs = ExtentsOf(id);
  if (streamed_) {
    const std::span<const Extent> ours = writer_.extents();
    ASSIGN_OR_RETURN(const bool same, SameInExtents(ours, theirs));
    if (!same || SamePlaces(ours, theirs)) return same;
    return SameInExtents(theirs, ours);
  }
  compare_.resize(kCompareStep * 2);
  for (std::uint64_t at = 0; at < size_bytes_; at += kCompareStep) {
    const std::span<std::byte> bytes(compare_.data(), std::min(kCompareStep, size_bytes_ - at));
    RETURN_IF_ERROR(ReadFile(theirs, at, bytes));
    if (std::memcmp(buffer_.data() + at, bytes.data(), bytes.size()) != 0) return false;
  }
  return true;
}

// Whether two files agree wherever the first has an extent.
Result<bool> DataWriter::SameInExtents(std::span<const Extent> of, std::span<const Extent> other) {
  compare_.resize(kCompareStep * 2);
  for (const Extent& extent : of) {
    for (std::uint64_t at = 0; at < extent.length; at += kCompareStep) {
      const std::size_t n = std::min<std::uint64_t>(kCompareStep, extent.length - at);
      const std::span<std::byte> first(compare_.data(), n);
      const std::span<std::byte> second(compare_.data() + kCompareStep, n);
      RETURN_IF_ERROR(sink_.Read(extent.offset + at, first));
      RETURN_IF_ERROR(ReadFile(other, extent.logical + at, second));
      if (std::memcmp(first.data(), second.data(), n) != 0) return false;
    }
  }
  return true;
}

// The bytes of a file from `logical` on, holes and what lies behind its end as zeros.
Status DataWriter::ReadFile(std::span<const Extent> extents, std::uint64_t logical,
                            std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), std::byte{0});
  const std::uint64_t end = logical + out.size();
  auto extent = std::partition_point(extents.begin(), extents.end(), [&](const Extent& e) {
    return e.logical + e.length <= logical;
  });
  for (; extent != extents.end() && extent->logical < end; ++extent) {
    const std::uint64_t from = std::max(extent->logical, logical);
    const std::uint64_t to = std::min(extent->logical + extent->length, end);
    RETURN_IF_ERROR(sink_.Read(extent->offset + (from - extent->logical),
                               out.subspan(from - logical, to - from)));
  }
  return Status::Ok();
}

Result<DataId> DataWriter::AddBlock(const Key& key) {
  DAXFS_CHECK(blocks_.size() < std::numeric_limits<DataId>::max());
  const std::vector<Extent>& stored = writer_.extents();
  if (stored.size() > std::numeric_limits<std::uint32_t>::max()) {
    return ResourceExhaustedError("a file in more than 2^32 parts");
  }
  if (dead_extents_ > kDeadExtentsMin && dead_extents_ > extents_.size() / 2) CompactExtents();
  const Block block = {planner_.Shrink(placement_, writer_.stored_bytes()),
                       key.size_bytes,
                       key.hash,
                       extents_.size(),
                       static_cast<std::uint32_t>(stored.size()),
                       1};
  auto id = static_cast<DataId>(blocks_.size());
  if (free_.empty()) {
    blocks_.push_back(block);
  } else {
    id = free_.back();
    free_.pop_back();
    blocks_[id] = block;
  }
  extents_.insert(extents_.end(), stored.begin(), stored.end());
  std::vector<DataId>& candidates = by_content_[key];
  if (candidates.size() < kCandidatesMax) candidates.push_back(id);
  return id;
}

std::span<const Extent> DataWriter::ExtentsOf(DataId id) const {
  const Block& block = blocks_[id];
  return std::span(extents_).subspan(block.first_extent, block.extents);
}

void DataWriter::Release(DataId id) {
  if (id == kNoData) return;
  Block& block = blocks_.at(id);
  DAXFS_CHECK(block.users > 0);
  if (--block.users > 0) return;
  const auto candidates = by_content_.find(Key{block.size_bytes, block.hash});
  if (candidates != by_content_.end()) {  // of many with one hash not all are
    std::erase(candidates->second, id);
    if (candidates->second.empty()) by_content_.erase(candidates);
  }
  digests_.Invalidate(block.placement.offset, block.placement.length);
  planner_.Free(block.placement);
  dead_extents_ += block.extents;
  block.extents = 0;
  free_.push_back(id);
}

// Drops those of blocks without a user.
void DataWriter::CompactExtents() {
  std::vector<Extent> live;
  live.reserve(extents_.size() - dead_extents_);
  for (Block& block : blocks_) {
    const auto first = extents_.begin() + static_cast<std::ptrdiff_t>(block.first_extent);
    block.first_extent = live.size();
    live.insert(live.end(), first, first + block.extents);
  }
  extents_ = std::move(live);
  dead_extents_ = 0;
}

Result<DataSummary> DataWriter::Finish() {
  DAXFS_CHECK(!open_);
  DataSummary summary;
  summary.data_offset = data_offset_;
  summary.data_end = planner_.data_end();
  summary.waste_bytes = planner_.waste_bytes();
  summary.shared_bytes = shared_bytes_;
  for (const Range& range : planner_.Unused()) {
    RETURN_IF_ERROR(sink_.Zero(range.start, range.end - range.start));
  }
  ASSIGN_OR_RETURN(summary.digests, digests_.Finish(summary.data_end, sink_));
  return summary;
}

}  // namespace daxfs::convert
