// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/layout_planner.hpp"
#include "common/convert/piece_digests.hpp"
#include "common/convert/sink.hpp"

namespace daxfs::convert {

// A run of file bytes in the image. All in bytes; `length` is a multiple of a block.
struct Extent {
  std::uint64_t logical = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool operator==(const Extent&) const = default;
};

// A hole is an aligned granule of zeros: 2 MiB of a HUGE file, so that what is left stays mappable
// by huge pages, otherwise 64 KiB (docs/adr/0003-holes-by-content.md).
std::uint64_t GranuleOf(bool huge);

// How many bytes at the front are zero.
std::size_t ZeroPrefix(std::span<const std::byte> bytes);

// Finds the granules of one file that hold anything, as its bytes pass, and a hash of them by which
// files with the same bytes find each other. Bytes are handed on in order, the zeros in front of a
// granule's first other byte included; holes are not handed on.
class GranuleScanner {
 public:
  // What one call found: `zeros` bytes of zeros and then `bytes` belong at `logical`.
  struct Found {
    std::uint64_t logical = 0;
    std::uint64_t zeros = 0;
    std::span<const std::byte> bytes;
  };

  // A file of `size_bytes`.
  void Begin(std::uint64_t size_bytes, std::uint64_t granule);
  // Takes a part of `*bytes` away from its front and says what of it is to be stored; nothing if
  // `bytes` of the answer is empty. Call it until `*bytes` is empty.
  Found Scan(std::span<const std::byte>* bytes);
  // The next `length` bytes are zeros; `zeros` of the answer of them are to be stored at `logical`.
  Found SkipZeros(std::uint64_t length);

  std::uint64_t position() const { return position_; }
  // Of the bytes handed on and their places; no cryptographic hash.
  std::uint64_t hash() const { return hash_; }

 private:
  std::uint64_t GranuleEnd(std::uint64_t position) const;
  void Hash(std::span<const std::byte> bytes);
  void HashZeros(std::uint64_t length);
  void HashPlace(std::uint64_t logical);

  std::uint64_t size_bytes_ = 0;
  std::uint64_t granule_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t hash_ = 0;
  std::uint64_t hashed_end_ = 0;  // where the bytes last handed on end
  bool in_data_ = false;          // the granule at position_ is being handed on
};

// Stores what a scanner found of one file, packed, from the start of its placement on.
class ExtentWriter {
 public:
  // Borrows both.
  ExtentWriter(Sink& sink, PieceDigests& digests) : sink_(sink), digests_(digests) {}

  void Begin(const Placement& placement);
  // Errors: the sink's.
  Status Store(const GranuleScanner::Found& found);
  // Zeros up to the next block. Errors: the sink's.
  Status Pad();

  const std::vector<Extent>& extents() const { return extents_; }
  // Bytes of the placement in use.
  std::uint64_t stored_bytes() const { return stored_; }

 private:
  Status Open(std::uint64_t logical);
  Status StoreZeros(std::uint64_t length);
  Status StoreBytes(std::span<const std::byte> bytes);

  Sink& sink_;
  PieceDigests& digests_;
  Placement placement_;
  std::uint64_t stored_ = 0;
  std::vector<Extent> extents_;
};

}  // namespace daxfs::convert
