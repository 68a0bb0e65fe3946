// SPDX-License-Identifier: Apache-2.0
#include "common/convert/layout_planner.hpp"

#include <algorithm>
#include <iterator>

#include "daxfs/format.h"

namespace daxfs::convert {
namespace {

constexpr std::uint64_t kChunk = DAXFS_CHUNK_SIZE;
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 62U;

std::uint64_t RoundUp(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

LayoutPlanner::LayoutPlanner(std::uint64_t data_offset, const LayoutOptions& options)
    : data_offset_(data_offset),
      align_(std::uint64_t{1} << options.data_align_shift),
      huge_min_(options.huge_min_bytes),
      tail_(data_offset) {
  DAXFS_CHECK(options.data_align_shift >= 12 && options.data_align_shift <= 16);
}

Result<Placement> LayoutPlanner::Place(std::uint64_t size_bytes) {
  DAXFS_CHECK(size_bytes > 0);
  if (size_bytes > kMaxBytes || tail_ > kMaxBytes) {
    return ResourceExhaustedError("an image holds at most 4 EiB of data");
  }
  const std::uint64_t length = RoundUp(size_bytes, DAXFS_BLOCK_SIZE);
  const std::uint64_t reserved = RoundUp(size_bytes, align_);
  used_ += length;
  if (huge_min_ != 0 && size_bytes >= huge_min_) return PlaceHuge(length);
  const auto fit = gap_sizes_.lower_bound({reserved, 0});
  if (fit == gap_sizes_.end()) return PlaceAtTail(length, reserved);
  const std::uint64_t start = fit->second;
  const std::uint64_t gap_end = start + fit->first;
  TakeGap(gaps_.find(start));
  if (start + reserved < gap_end) AddGapInChunk(start + reserved, gap_end);
  if (length < reserved) slack_[start + length] = start + reserved;
  return Placement{start, length, start + reserved, false};
}

Placement LayoutPlanner::PlaceHuge(std::uint64_t length) {
  const std::uint64_t start = RoundUp(tail_, kChunk);
  AddGap(tail_, start);
  tail_ = RoundUp(start + length, kChunk);
  if (start + length < tail_) slack_[start + length] = tail_;
  return {start, length, tail_, true};
}

Placement LayoutPlanner::PlaceAtTail(std::uint64_t length, std::uint64_t reserved) {
  std::uint64_t start = RoundUp(tail_, align_);
  if (start % kChunk == 0) start += align_;
  if (start != tail_) skipped_[tail_] = start;
  tail_ = start + reserved;
  if (length < reserved) slack_[start + length] = tail_;
  return {start, length, tail_, false};
}

Placement LayoutPlanner::Shrink(const Placement& placement, std::uint64_t length) {
  DAXFS_CHECK(length > 0 && length % DAXFS_BLOCK_SIZE == 0 && length <= placement.length);
  if (length == placement.length) return placement;
  used_ -= placement.length - length;
  slack_.erase(placement.offset + placement.length);
  const std::uint64_t end = placement.offset + length;
  const std::uint64_t reserved_end = RoundUp(end, placement.huge ? kChunk : align_);
  if (placement.reserved_end == tail_) {
    tail_ = reserved_end;
  } else {
    AddGap(reserved_end, placement.reserved_end);
  }
  if (end < reserved_end) slack_[end] = reserved_end;
  return {placement.offset, length, reserved_end, placement.huge};
}

void LayoutPlanner::Free(const Placement& placement) {
  DAXFS_CHECK(used_ >= placement.length);
  used_ -= placement.length;
  slack_.erase(placement.offset + placement.length);
  if (placement.reserved_end == tail_) {
    tail_ = placement.offset;
    PullTailBack();
  } else {
    AddGap(placement.offset, placement.reserved_end);
  }
}

// Unused space that now touches the end is no space at all.
void LayoutPlanner::PullTailBack() {
  for (;;) {
    if (!gaps_.empty() && gaps_.rbegin()->second == tail_) {
      tail_ = gaps_.rbegin()->first;
      TakeGap(std::prev(gaps_.end()));
    } else if (!skipped_.empty() && skipped_.rbegin()->second == tail_) {
      tail_ = skipped_.rbegin()->first;
      skipped_.erase(std::prev(skipped_.end()));
    } else {
      return;
    }
  }
}

// Gaps never cross a chunk, and none starts on its boundary: whoever takes one is well placed.
void LayoutPlanner::AddGap(std::uint64_t start, std::uint64_t end) {
  while (start < end) {
    const std::uint64_t stop = std::min(end, RoundUp(start + 1, kChunk));
    std::uint64_t usable = RoundUp(start, align_);
    if (usable % kChunk == 0) usable += align_;
    usable = std::min(usable, stop);
    if (usable != start) skipped_[start] = usable;
    if (usable < stop) AddGapInChunk(usable, stop);
    start = stop;
  }
}

void LayoutPlanner::AddGapInChunk(std::uint64_t start, std::uint64_t end) {
  auto next = gaps_.lower_bound(start);
  if (next != gaps_.end() && next->first == end && end % kChunk != 0) {
    end = next->second;
    auto doomed = next++;
    TakeGap(doomed);
  }
  if (next != gaps_.begin()) {
    const auto before = std::prev(next);
    if (before->second == start) {
      start = before->first;
      TakeGap(before);
    }
  }
  gaps_[start] = end;
  gap_sizes_.insert({end - start, start});
}

void LayoutPlanner::TakeGap(std::map<std::uint64_t, std::uint64_t>::iterator gap) {
  gap_sizes_.erase({gap->second - gap->first, gap->first});
  gaps_.erase(gap);
}

std::vector<Range> LayoutPlanner::Unused() const {
  std::vector<Range> all;
  for (const auto* ranges : {&gaps_, &skipped_, &slack_}) {
    for (const auto& [start, end] : *ranges) all.push_back({start, end});
  }
  std::sort(all.begin(), all.end(),
            [](const Range& a, const Range& b) { return a.start < b.start; });
  std::vector<Range> merged;
  for (const Range& range : all) {
    if (!merged.empty() && merged.back().end == range.start) {
      merged.back().end = range.end;
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

}  // namespace daxfs::convert
