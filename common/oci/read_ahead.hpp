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

// Sees all that is read, in order and in a thread of its own.
class ByteWatcher {
 public:
  virtual ~ByteWatcher() = default;
  virtual void See(std::span<const std::byte> bytes) = 0;
  // Behind the last bytes, if all could be read: whether they are what they should be.
  virtual Status End() = 0;
};

// Reads a ByteReader in a thread of its own, a few buffers ahead: inflating, what a watcher does,
// and what the consumer does go on side by side. Memory: 2 MiB. The destructor stops the threads,
// at the latest when the current Read returns.
class ReadAhead final : public ChunkSource {
 public:
  // Borrows both; nobody else may use `source` meanwhile.
  explicit ReadAhead(ByteReader& source, ByteWatcher* watcher = nullptr);
  ~ReadAhead() override;

  // The next bytes, empty at the end, which the watcher has seen too; valid until the next call.
  // Errors: the source's, or the watcher's at the end, again and again.
  Result<std::span<const std::byte>> Next() override;

 private:
  static constexpr std::size_t kBuffers = 8;
  struct Slot {
    std::vector<std::byte> bytes;
    std::size_t size = 0;
  };

  void Run();
  void Stop();
  void Watch();
  Status Fill(Slot* slot);
  bool HasRoom() const;

  ByteReader& source_;
  ByteWatcher* const watcher_;  // null: nobody watches
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Slot, kBuffers> slots_;
  std::size_t filled_ = 0;  // slots ever filled; under mutex_, as all below
  std::size_t taken_ = 0;   // slots ever given back by the consumer
  std::size_t seen_ = 0;    // slots ever given back by the watcher
  bool holding_ = false;    // the consumer looks into slot taken_
  bool ended_ = false;      // the source has ended or failed
  bool whole_ = false;      // so has the watcher
  bool stop_ = false;
  Status status_;  // how it ended
  std::thread reading_;
  std::thread watching_;
};

}  // namespace daxfs::oci
