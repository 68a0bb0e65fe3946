// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/shared_memory.hpp"
#include "common/pool/digest.hpp"
#include "pool.h"
#include "pool_open.h"

namespace daxfs::pool {

// How a pool is made. Counts of 0 are chosen to fit its size.
struct CreateOptions {
  std::vector<std::string> devices;  // files or dax devices; the first has the tables
  std::string label;                 // for people, at most 64 bytes
  std::uint32_t rows = 0;            // objects
  std::uint32_t aliases = 0;         // rounded up to a power of two
  std::uint32_t slots = 0;           // participants
  std::uint32_t hosts = 0;
  bool replace = false;  // over a pool or image that is there, with everything in it
};

// Makes an empty pool. Errors: kAlreadyExists over anything that is there, unless told to replace
// it; kInvalidArgument for sizes and counts that do not fit.
Status CreatePool(const CreateOptions& options);

// The memory of a pool, all its devices mapped: words, and chunks by number. Immutable.
class Memory {
 public:
  // In any order. Errors: kInvalidArgument for what is no pool; kUnimplemented for one of a newer
  // version; kDataLoss for a damaged one; kFailedPrecondition if a device is missing, or for
  // writing to one whose features this program does not know.
  static Result<std::unique_ptr<Memory>> Open(const std::vector<std::string>& devices,
                                              os::Access access);

  const daxfs_pool& words() const { return words_; }
  const daxfs_pool_info& info() const { return info_; }
  // For messages: the first device's path.
  const std::string& name() const { return name_; }
  Uuid uuid() const;
  Uuid epoch() const;

  // Behind the kernel module's device: this process is the life of a slot whose word is `word`, so
  // that the kernel lets it write what that slot builds, and knows when it has died. Elsewhere
  // nothing happens.
  Status LiveAs(std::uint32_t slot, std::uint64_t word) const;
  // There, too: nobody writes to that object's chunks any more.
  Status Seal(std::uint32_t row, std::uint64_t generation) const;

  // The 2 MiB of a chunk. Requires: chunk < info().chunk_count.
  std::span<std::byte> Chunk(std::uint32_t chunk) const;
  // `count` granules of 64 KiB. Requires: in one chunk.
  std::span<std::byte> Granules(std::uint32_t first, std::uint32_t count) const;
  // The same as parts of a file, for mapping.
  os::Piece PieceOf(std::uint32_t chunk, std::uint64_t offset, std::uint64_t length) const;

 private:
  Memory() = default;
  Status AskDevices(unsigned long request, const void* argument) const;

  std::string name_;
  std::vector<os::SharedMemory> devices_;  // by number
  daxfs_pool_info info_ = {};
  daxfs_pool words_ = {};
};

// An error of core as a Status; `what` names what was done.
Status FromCore(int error, std::string_view what);

}  // namespace daxfs::pool
