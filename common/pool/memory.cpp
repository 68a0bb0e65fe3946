// SPDX-License-Identifier: Apache-2.0
#include "common/pool/memory.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "daxfs/ioctl.h"

namespace daxfs::pool {
namespace {

Status Refusal(const std::string& path, int error, const char* why) {
  const std::string text = path + ": " + why;
  switch (-error) {
    case EOPNOTSUPP:
      return UnimplementedError(text);
    case EUCLEAN:
      return DataLossError(text);
    default:
      return InvalidArgumentError(text);
  }
}

Uuid ToUuid(const __u8* bytes) {
  Uuid uuid;
  std::memcpy(uuid.data(), bytes, uuid.size());
  return uuid;
}

}  // namespace

Status FromCore(int error, std::string_view what) {
  return error == 0 ? Status::Ok() : Status::FromErrno(-error, what);
}

std::uint32_t ChunksIn(const daxfs_pool_device_info& device, std::uint64_t size_bytes) {
  const std::uint64_t room = size_bytes < device.data_offset ? 0 : size_bytes - device.data_offset;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(room >> DAXFS_CHUNK_SHIFT, device.chunk_count));
}

namespace {

// The last device may be as small as its tables and a chunk: whether chunks are missing, their
// words say.
std::uint64_t SizeNeeded(const daxfs_pool_info& info, std::uint32_t device) {
  const bool may_grow = device + 1 == info.device_count && info.partition_count == 1;
  return may_grow ? info.device[device].data_offset + DAXFS_CHUNK_SIZE : info.device[device].size;
}

}  // namespace

Result<std::unique_ptr<Memory>> Memory::Open(const std::vector<std::string>& devices,
                                             os::Access access) {
  if (devices.empty()) return InvalidArgumentError("a pool without devices");
  std::unique_ptr<Memory> memory(new Memory());
  memory->mapped_->name = devices.front();
  std::vector<std::optional<os::SharedMemory>> found(DAXFS_POOL_DEVICES);
  for (const std::string& path : devices) {
    ASSIGN_OR_RETURN(os::SharedMemory device, os::SharedMemory::Open(path, access));
    daxfs_pool_info info;
    const char* why = "";
    const std::span<std::byte> bytes = device.bytes();
    if (const int error = daxfs_pool_read_super(&info, bytes.data(), bytes.size(), &why)) {
      return Refusal(path, error, why);
    }
    if (&path != &devices.front() &&
        std::memcmp(info.uuid, memory->info_.uuid, sizeof(info.uuid)) != 0) {
      return InvalidArgumentError(path + ": belongs to another pool than " + devices.front());
    }
    const std::uint64_t needed = SizeNeeded(info, info.device_index);
    if (bytes.size() < needed) {
      return DataLossError(path + ": has " + std::to_string(bytes.size()) + " bytes, the pool " +
                           std::to_string(needed));
    }
    if (found[info.device_index]) return InvalidArgumentError(path + ": is named twice");
    memory->info_ = info;
    found[info.device_index].emplace(std::move(device));
  }
  for (std::uint32_t i = 0; i < memory->info_.device_count; ++i) {
    if (!found[i]) {
      return FailedPreconditionError(devices.front() + ": device " +
                                     UuidText(ToUuid(memory->info_.device[i].uuid)) +
                                     " of its pool is missing; name all of them");
    }
    // Each superblock was checked against its own device; this one speaks for all.
    if (found[i]->bytes().size() < SizeNeeded(memory->info_, i)) {
      return DataLossError(devices.front() + ": the superblocks of its devices contradict");
    }
    memory->mapped_->devices.push_back(*std::move(found[i]));
  }
  if (access == os::Access::kWrite && daxfs_pool_writable(&memory->info_) == 0) {
    return FailedPreconditionError(devices.front() +
                                   ": a newer daxfs made it; this one can show it, not change it");
  }
  const daxfs_pool_device_info& last = memory->info_.device[memory->info_.device_count - 1];
  RETURN_IF_ERROR(memory->mapped_->devices.back().Widen(last.size).WithContext(devices.front()));
  memory->mapped_->chunks =
      last.first_chunk + ChunksIn(last, memory->mapped_->devices.back().bytes().size());
  RETURN_IF_ERROR(memory->View());
  RETURN_IF_ERROR(memory->CheckPresent());
  return memory;
}

// All chunks that are not absent are there. Whoever resizes it makes the file larger before it says
// so, and smaller behind that: so first what is said, then how large it is, again if both changed.
Status Memory::CheckPresent() {
  constexpr int kTries = 8;
  const daxfs_pool_device_info& last = info_.device[info_.device_count - 1];
  std::uint64_t size = 0;
  std::uint64_t needed = 1;
  for (int i = 0; i < kTries && size < needed; ++i) {
    std::uint32_t end = info_.chunk_count;
    while (end > last.first_chunk && daxfs_load(&words().owners[end - 1]) == DAXFS_OWNER_ABSENT) {
      --end;
    }
    needed = last.data_offset + (std::uint64_t{end - last.first_chunk} << DAXFS_CHUNK_SHIFT);
    ASSIGN_OR_RETURN(size, mapped_->devices.back().Size());
  }
  if (size >= needed) return Status::Ok();
  return DataLossError(name() + ": has " + std::to_string(size) + " bytes, the pool " +
                       std::to_string(needed));
}

Status Memory::View() {
  const std::span<std::byte> bytes = mapped_->devices.front().bytes();
  mapped_->partitions.resize(info_.partition_count);
  mapped_->partition_hosts.resize(info_.partition_count);
  if (info_.partition_count == 1) {
    daxfs_pool_view(mapped_->partitions.data(), &info_, bytes.data());
    return Status::Ok();
  }
  if (bytes.size() / info_.partition_size < info_.partition_count) {
    return DataLossError(name() + ": has " + std::to_string(bytes.size()) +
                         " bytes, less than its partitions");
  }
  for (std::uint32_t i = 0; i < info_.partition_count; ++i) {
    daxfs_pool_info info;
    const char* why = "";
    daxfs_refresh(bytes.data() + i * info_.partition_size, DAXFS_BLOCK_SIZE);
    if (daxfs_partition_read(&info, bytes.data(), info_.partition_size, i, &why) != 0) {
      return DataLossError(name() + ": partition " + std::to_string(i) + ": " + why);
    }
    mapped_->partition_hosts[i] = ToUuid(info.partition_host);
  }
  daxfs_partitions_view(mapped_->partitions.data(), &info_, bytes.data(), UINT32_MAX);
  return Status::Ok();
}

Memory Memory::At(std::uint32_t number) const {
  DAXFS_CHECK(number < partition_count());
  Memory other = *this;
  // All numbers but these are the same, and were checked when the pool was opened: what a
  // superblock says since is not believed.
  other.partition_ = other.info_.partition = number;
  std::memcpy(other.info_.partition_host, mapped_->partition_hosts[number].data(),
              sizeof(other.info_.partition_host));
  return other;
}

Status Memory::Settle(const Uuid& host) {
  if (partition_count() == 1) return Status::Ok();
  std::string known;
  for (std::uint32_t i = 0; i < partition_count(); ++i) {
    const Memory other = At(i);
    known += (i == 0 ? "" : ", ") + UuidText(other.partition_host());
    if (other.partition_host() != host) continue;
    *this = other;
    LinesToMemory();
    daxfs_partitions_view(mapped_->partitions.data(), &info_,
                          mapped_->devices.front().bytes().data(), i);
    return Status::Ok();
  }
  return FailedPreconditionError(name() + ": has no partition for this host, " + UuidText(host) +
                                 "; it has some for " + known);
}

std::span<std::byte> Memory::Tables() const {
  daxfs_pool_map map;
  daxfs_pool_tables(&info_, &map);
  return mapped_->devices.front().bytes().subspan(partition_ * info_.partition_size, map.end);
}

void Memory::ReadAnew() const { Refresh(Tables()); }

void Memory::LinesToMemory() const {
  const std::span<std::byte> tables = Tables();
  if (partition_count() > 1) daxfs_write_back(tables.data(), tables.size());
}

void Memory::Publish(std::span<const std::byte> bytes) const {
  daxfs_bytes_written(words().role, bytes.data(), bytes.size());
}

void Memory::Refresh(std::span<const std::byte> bytes) const {
  daxfs_bytes_anew(words().role, bytes.data(), bytes.size());
}

Uuid Memory::partition_host() const { return ToUuid(info_.partition_host); }
Uuid Memory::uuid() const { return ToUuid(info_.uuid); }
Uuid Memory::epoch() const { return ToUuid(info_.epoch); }

bool Memory::IsOfItsEpoch() const {
  return daxfs_pool_has_epoch(mapped_->devices.front().bytes().data(), info_.epoch) != 0;
}

bool Memory::IsStillThere() const {
  for (const os::SharedMemory& device : mapped_->devices) {
    if (!device.IsStillThere()) return false;
  }
  if (partition_count() > 1) {
    daxfs_refresh(mapped_->devices.front().bytes().data(), DAXFS_BLOCK_SIZE);
  }
  return IsOfItsEpoch();
}

Status Memory::AskDevices(unsigned long request, const void* argument) const {
  for (const os::SharedMemory& device : mapped_->devices) {
    const Status asked = device.Ask(request, argument);
    if (!asked.ok() && asked.error_number() != ENOTTY) return asked.WithContext(name());
  }
  return Status::Ok();
}

Status Memory::LiveAs(std::uint32_t slot, std::uint64_t word) const {
  const daxfs_ioc_slot request = {word, slot, mapped_->devices.front().fd()};
  return AskDevices(DAXFS_IOC_SLOT, &request);
}

Status Memory::Seal(std::uint32_t row, std::uint64_t generation) const {
  const daxfs_ioc_seal request = {generation, row, 0};
  return AskDevices(DAXFS_IOC_SEAL, &request);
}

std::span<std::byte> Memory::Chunk(std::uint32_t chunk) const {
  const os::Piece piece = PieceOf(chunk, 0, DAXFS_CHUNK_SIZE);
  return piece.memory->bytes().subspan(piece.offset, piece.length);
}

std::span<std::byte> Memory::Granules(std::uint32_t first, std::uint32_t count) const {
  return Chunk(first / DAXFS_CHUNK_GRANULES)
      .subspan(std::size_t{first % DAXFS_CHUNK_GRANULES} << DAXFS_GRANULE_SHIFT,
               std::size_t{count} << DAXFS_GRANULE_SHIFT);
}

os::Piece Memory::PieceOf(std::uint32_t chunk, std::uint64_t offset, std::uint64_t length) const {
  __u32 device = 0;
  __u64 start = 0;
  DAXFS_CHECK(daxfs_chunk_device(&info_, chunk, &device, &start) == 0);
  DAXFS_CHECK(offset + length <= DAXFS_CHUNK_SIZE);
  start += partition_ * info_.partition_size;
  return {&mapped_->devices[device], start + offset, length};
}

}  // namespace daxfs::pool
