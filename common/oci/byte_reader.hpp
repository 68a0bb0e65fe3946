// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "common/base/status.hpp"

namespace daxfs::oci {

// A stream of bytes. One thread at a time.
class ByteReader {
 public:
  virtual ~ByteReader() = default;
  // Fills the front of `out` (not empty): the number of bytes, 0 at the end and only there. What is
  // checked at the end of the stream (digest, length) fails instead of returning 0.
  virtual Result<std::size_t> Read(std::span<std::byte> out) = 0;
};

// A stream that says how far it is; that may be asked by another thread.
class PositionedReader : public ByteReader {
 public:
  // Bytes read so far.
  std::uint64_t position() const { return position_.load(std::memory_order_relaxed); }

 protected:
  void Advance(std::size_t count) { position_.fetch_add(count, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> position_{0};
};

// The same, handed out instead of copied. One thread at a time.
class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  // The next bytes, empty at the end; valid until the next call. Errors as above.
  virtual Result<std::span<const std::byte>> Next() = 0;
};

}  // namespace daxfs::oci
