// SPDX-License-Identifier: Apache-2.0
#include "common/convert/data_writer.hpp"

#include <isa-l/crc64.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "daxfs/format.h"

namespace daxfs::convert {
namespace {

// A file up to this size is held until its place is known; larger ones are written while they
// arrive.
constexpr std::size_t kBufferedMax = std::size_t{1} << 20U;
constexpr std::size_t kCompareStep = std::size_t{1} << 18U;
// Somebody who crafts files with equal CRCs costs us this many comparisons each, not a quadratic
// number.
constexpr std::size_t kCandidatesMax = 8;

constexpr std::array<std::byte, 1U << 16U> kZeros{};  // as long as the largest alignment

std::uint64_t Crc(std::uint64_t crc, std::span<const std::byte> bytes) {
  return crc64_ecma_refl(crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

}  // namespace

DataWriter::DataWriter(Sink& sink, const LayoutOptions& options)
    : sink_(sink),
      data_offset_(DAXFS_BLOCK_SIZE),
      planner_(data_offset_, options),
      digests_(data_offset_),
      blocks_(1) {}

Status DataWriter::Begin(std::uint64_t size_bytes) {
  DAXFS_CHECK(!open_);
  size_bytes_ = size_bytes;
  done_bytes_ = 0;
  crc_ = 0;
  streamed_ = size_bytes > kBufferedMax;
  buffer_.clear();
  if (streamed_) {
    ASSIGN_OR_RETURN(placement_, planner_.Place(size_bytes));
  }
  open_ = true;
  return Status::Ok();
}

Status DataWriter::Append(std::span<const std::byte> bytes) {
  DAXFS_CHECK(open_);
  if (bytes.size() > size_bytes_ - done_bytes_) {
    return InvalidArgumentError("more data than the announced " + std::to_string(size_bytes_) +
                                " bytes");
  }
  crc_ = Crc(crc_, bytes);
  if (streamed_) {
    RETURN_IF_ERROR(Store(placement_.offset + done_bytes_, bytes));
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  done_bytes_ += bytes.size();
  return Status::Ok();
}

Result<DataId> DataWriter::End() {
  DAXFS_CHECK(open_);
  open_ = false;
  if (done_bytes_ != size_bytes_) {
    return DataLossError("data ends after " + std::to_string(done_bytes_) + " of " +
                         std::to_string(size_bytes_) + " bytes");
  }
  if (size_bytes_ == 0) return kNoData;
  const Key key{size_bytes_, crc_};
  return streamed_ ? EndStreamed(key) : EndBuffered(key);
}

Result<DataId> DataWriter::EndStreamed(const Key& key) {
  ASSIGN_OR_RETURN(const DataId same, FindSame(key));
  if (same != kNoData) {
    digests_.Invalidate(placement_.offset, placement_.length);
    planner_.Free(placement_);
    return same;
  }
  RETURN_IF_ERROR(StorePadding(placement_, key.size_bytes));
  return AddBlock(placement_, key);
}

Result<DataId> DataWriter::EndBuffered(const Key& key) {
  ASSIGN_OR_RETURN(const DataId same, FindSame(key));
  if (same != kNoData) return same;
  ASSIGN_OR_RETURN(const Placement placement, planner_.Place(key.size_bytes));
  buffer_.resize(placement.length);  // the padding, value-initialised
  RETURN_IF_ERROR(Store(placement.offset, buffer_));
  return AddBlock(placement, key);
}

Status DataWriter::Store(std::uint64_t offset, std::span<const std::byte> bytes) {
  RETURN_IF_ERROR(sink_.Write(offset, bytes));
  digests_.Written(offset, bytes);
  return Status::Ok();
}

Status DataWriter::StorePadding(const Placement& placement, std::uint64_t size_bytes) {
  const std::uint64_t padding = placement.length - size_bytes;
  DAXFS_CHECK(padding < DAXFS_BLOCK_SIZE);
  if (padding == 0) return Status::Ok();
  return Store(placement.offset + size_bytes, std::span(kZeros).first(padding));
}

// The data that equals the open file's, with one user more; kNoData if there is none.
Result<DataId> DataWriter::FindSame(const Key& key) {
  const auto candidates = by_content_.find(key);
  if (candidates == by_content_.end()) return kNoData;
  for (const DataId id : candidates->second) {
    ASSIGN_OR_RETURN(const bool same, SameAsBlock(blocks_[id]));
    if (!same) continue;
    ++blocks_[id].users;
    shared_bytes_ += key.size_bytes;
    return id;
  }
  return kNoData;
}

Result<bool> DataWriter::SameAsBlock(const Block& block) {
  compare_.resize(kCompareStep * 2);
  for (std::uint64_t at = 0; at < size_bytes_; at += kCompareStep) {
    const std::size_t n = std::min<std::uint64_t>(kCompareStep, size_bytes_ - at);
    const std::span<std::byte> theirs(compare_.data(), n);
    RETURN_IF_ERROR(sink_.Read(block.placement.offset + at, theirs));
    const std::byte* ours = buffer_.data() + at;
    if (streamed_) {
      const std::span<std::byte> read_back(compare_.data() + kCompareStep, n);
      RETURN_IF_ERROR(sink_.Read(placement_.offset + at, read_back));
      ours = read_back.data();
    }
    if (std::memcmp(ours, theirs.data(), n) != 0) return false;
  }
  return true;
}

DataId DataWriter::AddBlock(const Placement& placement, const Key& key) {
  DAXFS_CHECK(blocks_.size() < std::numeric_limits<DataId>::max());
  const auto id = static_cast<DataId>(blocks_.size());
  blocks_.push_back({placement, key.size_bytes, key.crc, 1});
  std::vector<DataId>& candidates = by_content_[key];
  if (candidates.size() < kCandidatesMax) candidates.push_back(id);
  return id;
}

void DataWriter::Release(DataId id) {
  if (id == kNoData) return;
  Block& block = blocks_.at(id);
  DAXFS_CHECK(block.users > 0);
  if (--block.users > 0) return;
  const auto candidates = by_content_.find(Key{block.size_bytes, block.crc});
  std::erase(candidates->second, id);
  if (candidates->second.empty()) by_content_.erase(candidates);
  digests_.Invalidate(block.placement.offset, block.placement.length);
  planner_.Free(block.placement);
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
