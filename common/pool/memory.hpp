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
  // Of each device so much, from its beginning; a file is made, or made anew. 0: all there is.
  std::uint64_t size_bytes = 0;
  // The last device may grow to that (resize.hpp): there are tables for it. 0: as large as it is.
  std::uint64_t max_size_bytes = 0;
  // Without coherence between hosts: a partition for each of these, and for no others.
  std::vector<Uuid> partitions = {};
  bool replace = false;  // over a pool or image that is there, with everything in it
};

// Makes an empty pool. Errors: kAlreadyExists over anything that is there, unless told to replace
// it; kInvalidArgument for sizes and counts that do not fit; kResourceExhausted without memory for
// all of it. What failed has changed nothing, but may have left files it made, empty.
Status CreatePool(const CreateOptions& options);

// The memory of a pool, all its devices mapped: words, and chunks by number. Of a partitioned one
// it is that of one partition; the others are to be had from it. Immutable.
class Memory {
 public:
  // In any order. Errors: kInvalidArgument for what is no pool; kUnimplemented for one of a newer
  // version; kDataLoss for a damaged one; kFailedPrecondition if a device is missing, or for
  // writing to one whose features this program does not know.
  static Result<std::unique_ptr<Memory>> Open(const std::vector<std::string>& devices,
                                              os::Access access);

  const daxfs_pool& words() const { return mapped_->partitions[partition_]; }
  const daxfs_pool_info& info() const { return info_; }
  std::uint32_t partition() const { return partition_; }
  const daxfs_pool& partition(std::uint32_t number) const { return mapped_->partitions[number]; }
  std::uint32_t partition_count() const { return info_.partition_count; }
  // Whose partition it is, of a partitioned pool.
  Uuid partition_host() const;
  // The same pool, its partition `number`. What that says of tables and objects' records is read
  // anew where core reads it; what is read otherwise needs ReadAnew().
  Memory At(std::uint32_t number) const;
  // All tables of another host's partition, as they are now. For who shows them.
  void ReadAnew() const;
  // Of a partitioned pool: this host's caches have no lines of the tables any more; what they had
  // is in memory. So that nothing of one pool is left for the next one there.
  void LinesToMemory() const;
  // That of the host which takes part from here on. Errors: kFailedPrecondition if a partitioned
  // pool has none for it.
  Status Settle(const Uuid& host);
  // For messages: the first device's path.
  const std::string& name() const { return mapped_->name; }
  Uuid uuid() const;
  Uuid epoch() const;
  // Whether that pool is still where it was opened: nobody has put other files there, nor made
  // another pool of the same.
  bool IsStillThere() const;
  // The second of these alone, cheaply.
  bool IsOfItsEpoch() const;

  // What this process loses to others is counted there, in DAXFS_CONTENTION_COUNT numbers.
  void CountInto(__u64* contention) { mapped_->partitions[partition_].contention = contention; }

  // Behind the kernel module's device: this process is the life of a slot whose word is `word`, so
  // that the kernel lets it write what that slot builds, and knows when it has died. Elsewhere
  // nothing happens.
  Status LiveAs(std::uint32_t slot, std::uint64_t word) const;
  // There, too: nobody writes to that object's chunks any more.
  Status Seal(std::uint32_t row, std::uint64_t generation) const;

  // Bytes of an object that is about to be published are there for all to read.
  void Publish(std::span<const std::byte> bytes) const;
  // Bytes of another host's object are read as they are.
  void Refresh(std::span<const std::byte> bytes) const;

  // Chunks from 0 on that this process has mapped. Of a file they are all that there may ever be;
  // what a device has more by now is for who opens the pool anew.
  std::uint32_t chunks() const { return mapped_->chunks; }
  // The one that can be resized.
  const os::SharedMemory& last_device() const { return mapped_->devices.back(); }

  // The 2 MiB of a chunk. Requires: chunk < chunks().
  std::span<std::byte> Chunk(std::uint32_t chunk) const;
  // `count` granules of 64 KiB. Requires: in one chunk.
  std::span<std::byte> Granules(std::uint32_t first, std::uint32_t count) const;
  // The same as parts of a file, for mapping.
  os::Piece PieceOf(std::uint32_t chunk, std::uint64_t offset, std::uint64_t length) const;

 private:
  Memory() = default;
  Status AskDevices(unsigned long request, const void* argument) const;
  Status View();
  std::span<std::byte> Tables() const;
  Status CheckPresent();

  struct Mapped {
    std::string name;
    std::vector<os::SharedMemory> devices;  // by number
    std::vector<daxfs_pool> partitions;     // one, unless it is partitioned
    std::vector<Uuid> partition_hosts;
    std::uint32_t chunks = 0;
  };
  std::shared_ptr<Mapped> mapped_ = std::make_shared<Mapped>();
  daxfs_pool_info info_ = {};  // of the partition
  std::uint32_t partition_ = 0;
};

// How many chunks of a device are there if it has `size_bytes`.
std::uint32_t ChunksIn(const daxfs_pool_device_info& device, std::uint64_t size_bytes);

// An error of core as a Status; `what` names what was done.
Status FromCore(int error, std::string_view what);

}  // namespace daxfs::pool
