// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::convert {

// Where one file's data lies. All in bytes from the image's start.
struct Placement {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;        // the file's size rounded up to a block
  std::uint64_t reserved_end = 0;  // first byte another file may use
  bool huge = false;
};

struct Range {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  bool operator==(const Range&) const = default;
};

struct LayoutOptions {
  std::uint64_t huge_min_bytes = std::uint64_t{8} << 20U;  // 0: no file is HUGE
  unsigned data_align_shift = 12;                          // 12 to 16
};

// Gives each file its place in the data area, in the order of arrival (docs/format.md, "Extents").
// A HUGE file starts on a 2 MiB boundary and owns its last 2 MiB alone; no other file starts on
// one; small files fill the gaps that leaves, best fit first. Every operation is logarithmic in the
// number of gaps.
class LayoutPlanner {
 public:
  LayoutPlanner(std::uint64_t data_offset, const LayoutOptions& options);

  // A place for a file of `size_bytes` > 0. Errors: kResourceExhausted beyond 2^62 bytes.
  Result<Placement> Place(std::uint64_t size_bytes);
  // The file needs only the first `length` bytes (a multiple of a block, not 0) of its place: what
  // it has from now on. Requires: a live result of Place.
  Placement Shrink(const Placement& placement, std::uint64_t length);
  // The file is not wanted after all: its space is used again. Requires: a live result of Place.
  void Free(const Placement& placement);

  // First byte behind the data area.
  std::uint64_t data_end() const { return tail_; }
  // Bytes of the data area that no file's blocks cover.
  std::uint64_t waste_bytes() const { return tail_ - data_offset_ - used_; }
  // The ranges behind waste_bytes(), ascending and merged. They have to be zeroed.
  std::vector<Range> Unused() const;

 private:
  Placement PlaceHuge(std::uint64_t length);
  Placement PlaceAtTail(std::uint64_t length, std::uint64_t reserved);
  void AddGap(std::uint64_t start, std::uint64_t end);
  void AddGapInChunk(std::uint64_t start, std::uint64_t end);
  void TakeGap(std::map<std::uint64_t, std::uint64_t>::iterator gap);
  void PullTailBack();

  const std::uint64_t data_offset_;
  const std::uint64_t align_;
  const std::uint64_t huge_min_;
  std::uint64_t tail_;
  std::uint64_t used_ = 0;
  std::map<std::uint64_t, std::uint64_t> gaps_;  // usable: start -> end, in one chunk
  std::set<std::pair<std::uint64_t, std::uint64_t>> gap_sizes_;  // the same as (length, start)
  std::map<std::uint64_t, std::uint64_t> skipped_;  // no file may start there: start -> end
  std::map<std::uint64_t, std::uint64_t> slack_;    // behind a live file, its own: start -> end
};

}  // namespace daxfs::convert
