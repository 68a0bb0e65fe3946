// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/byte_reader.hpp"

namespace daxfs::oci {

// Bytes of a ByteReader that a decoder has not taken yet. One thread at a time.
class InputBuffer {
 public:
  // Borrows `source`.
  explicit InputBuffer(ByteReader& source) : source_(source), bytes_(kBytes) {}

  // Reads until `at_least` bytes are pending or the source has ended. Errors: the source's.
  Status Fill(std::size_t at_least);
  // What is there and not yet taken; valid until the next Fill.
  std::span<const std::byte> pending() const { return pending_; }
  void Take(std::size_t count) { pending_ = pending_.subspan(count); }
  // Nothing is pending and nothing will come. Requires: Fill(1) was called.
  bool ended() const { return source_ended_ && pending_.empty(); }

  ByteReader& source() { return source_; }

 private:
  static constexpr std::size_t kBytes = std::size_t{1} << 18U;

  ByteReader& source_;
  bool source_ended_ = false;
  std::vector<std::byte> bytes_;
  std::span<const std::byte> pending_;  // of bytes_
};

}  // namespace daxfs::oci
