// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/byte_reader.hpp"

namespace daxfs::oci {

// Reads a ByteReader in a thread of its own, a few buffers ahead: hashing and inflating overlap
// with what the consumer does. Memory: 4 MiB. The destructor stops the thread, at the latest when
// its current Read returns.
class ReadAhead final : public ChunkSource {
 public:
  // Borrows `source`, which nobody else may use meanwhile.
  explicit ReadAhead(ByteReader& source);
  ~ReadAhead() override;

  // The next bytes, empty at the end; valid until the next call. Errors: the source's, again and
  // again.
  Result<std::span<const std::byte>> Next() override;

 private:
  static constexpr std::size_t kBuffers = 4;
  struct Slot {
    std::vector<std::byte> bytes;
    std::size_t size = 0;
  };

  void Run();
  Status Fill(Slot* slot);

  ByteReader& source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Slot, kBuffers> slots_;
  std::size_t filled_ = 0;  // slots ever filled; under mutex_, as all below
  std::size_t taken_ = 0;   // slots ever given back by the consumer
  bool holding_ = false;    // the consumer looks into slot taken_
  bool ended_ = false;      // the source has ended or failed
  bool stop_ = false;
  Status status_;  // how it ended
  std::thread thread_;
};

}  // namespace daxfs::oci
