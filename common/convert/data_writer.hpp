// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/extent_writer.hpp"
#include "common/convert/layout_planner.hpp"
#include "common/convert/piece_digests.hpp"
#include "common/convert/sink.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::convert {

// Names the data of one file inside a DataWriter; 0 is the data of a file that is empty or one
// hole.
using DataId = std::uint32_t;
inline constexpr DataId kNoData = 0;

struct DataSummary {
  std::uint64_t data_offset = 0;   // bytes
  std::uint64_t data_end = 0;      // bytes
  std::uint64_t waste_bytes = 0;   // of the data area, used by no file
  std::uint64_t shared_bytes = 0;  // not stored again because the same data was there
  std::vector<oci::Digest> digests;
};

// Puts file data into the sink as it arrives: one file after the other, each at its final place,
// runs of zeros left out as holes, the last block padded. Files with the same bytes share them:
// candidates by size and hash, confirmed by comparing what the sink holds. Memory: one buffer, 100
// bytes a file, 40 a piece.
class DataWriter {
 public:
  // Borrows the sink.
  DataWriter(Sink& sink, const LayoutOptions& options);

  // Begins a file of exactly `size_bytes`. Requires: no file is open. Errors: kResourceExhausted.
  Status Begin(std::uint64_t size_bytes);
  // The next bytes of it. Errors: kInvalidArgument beyond its size; the sink's.
  Status Append(std::span<const std::byte> bytes);
  // The same for `length` zeros, without looking at them. Errors: as Append.
  Status AppendZeros(std::uint64_t length);
  // The file is complete. Errors: kDataLoss if bytes are missing; the sink's.
  Result<DataId> End();
  // One user of the data less; with the last one its space is free for others.
  void Release(DataId id);

  // Where the data lies, in the order of the file. Valid until the next End. Requires: a live id.
  std::span<const Extent> ExtentsOf(DataId id) const;

  // No more files: zeroes what no file uses and completes the digests. Errors: the sink's.
  Result<DataSummary> Finish();

 private:
  struct Block {
    Placement placement;
    std::uint64_t size_bytes = 0;
    std::uint64_t hash = 0;
    std::uint64_t first_extent = 0;  // in extents_
    std::uint32_t extents = 0;
    std::uint32_t users = 0;
  };
  struct Key {
    std::uint64_t size_bytes;
    std::uint64_t hash;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return key.hash ^ (key.size_bytes << 1U); }
  };

  std::uint64_t Granule() const;
  Status CheckRoom(std::uint64_t length) const;
  Status StoreOpenFile(std::span<const std::byte> bytes);
  Result<DataId> FindSame(const Key& key);
  Result<bool> SameAsBlock(DataId id);
  Result<bool> SameInExtents(std::span<const Extent> of, std::span<const Extent> other);
  Status ReadFile(std::span<const Extent> extents, std::uint64_t logical, std::span<std::byte> out);
  Result<DataId> AddBlock(const Key& key);
  void CompactExtents();
  Result<DataId> EndStreamed(const Key& key);
  Result<DataId> EndBuffered(const Key& key);

  Sink& sink_;
  const std::uint64_t data_offset_;
  const std::uint64_t huge_min_;
  LayoutPlanner planner_;
  PieceDigests digests_;
  std::vector<Block> blocks_;
  std::vector<DataId> free_;      // numbers of blocks without a user
  std::vector<Extent> extents_;   // of all blocks
  std::size_t dead_extents_ = 0;  // of those without a user
  std::unordered_map<Key, std::vector<DataId>, KeyHash> by_content_;
  std::uint64_t shared_bytes_ = 0;

  // The open file. A small one waits in buffer_ until it is known whether it is new.
  bool open_ = false;
  bool streamed_ = false;
  std::uint64_t size_bytes_ = 0;
  Placement placement_;
  GranuleScanner scanner_;
  ExtentWriter writer_;
  std::vector<std::byte> buffer_;
  std::vector<std::byte> compare_;
};

}  // namespace daxfs::convert
