// SPDX-License-Identifier: Apache-2.0
#include "common/pool/memory.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/units.hpp"
#include "common/os/file_lock.hpp"
#include "common/os/system.hpp"
#include "common/pool/inspect.hpp"
#include "daxfs/ioctl.h"

namespace daxfs::pool {
namespace {

using std::chrono::milliseconds;

// More than two heartbeats.
constexpr milliseconds kWatch{2500};
constexpr milliseconds kWatchStep{100};

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

void Clear(std::span<std::byte> bytes) { std::memset(bytes.data(), 0, bytes.size()); }

Status CheckReplaced(const std::string& path, std::span<const std::byte> bytes, bool replace) {
  static constexpr std::size_t kMagicBytes = 8;
  const bool zero = std::all_of(bytes.begin(), bytes.begin() + kMagicBytes,
                                [](std::byte b) { return b == std::byte{0}; });
  if (zero || replace) return Status::Ok();
  daxfs_pool_info info;
  const char* why = "";
  if (daxfs_pool_read_super(&info, bytes.data(), bytes.size(), &why) == 0) {
    return AlreadyExistsError(path +
                              ": holds a pool already; --force makes a new one, and everything "
                              "in the old one is lost to whoever uses it");
  }
  return AlreadyExistsError(
      path + ": holds something else (its first bytes are not zero); --force " + "overwrites it");
}

template <std::size_t N>
Status Random(__u8 (&out)[N]) {
  return os::RandomBytes(std::as_writable_bytes(std::span(out)));
}

Status RandomUuid(__u8 (&uuid)[DAXFS_UUID_SIZE]) {
  RETURN_IF_ERROR(Random(uuid));
  uuid[6] = static_cast<__u8>((uuid[6] & 0x0fU) | 0x40U);  // RFC 9562, version 4
  uuid[8] = static_cast<__u8>((uuid[8] & 0x3fU) | 0x80U);
  return Status::Ok();
}

std::uint32_t BucketsFor(std::uint32_t aliases) {
  std::uint32_t buckets = 1;
  while (buckets * 8ULL < aliases) buckets *= 2;
  return aliases == 0 ? 0 : buckets;
}

Uuid ToUuid(const __u8* bytes) {
  Uuid uuid;
  std::memcpy(uuid.data(), bytes, uuid.size());
  return uuid;
}

// Whoever takes part in the old pool would go on in the new one, with words that mean others there.
// Whose heart beats is alive; the beats of the dead and of hosts that are off stand still.
Status CheckNobodyLives(const std::vector<std::string>& devices) {
  const Result<std::unique_ptr<Memory>> old = Memory::Open(devices, os::Access::kRead);
  if (!old.ok()) return Status::Ok();  // no pool, or not all of it
  const auto beats = [&] {
    std::vector<std::pair<std::uint32_t, std::uint64_t>> all;
    for (std::uint32_t i = 0; i < (*old)->partition_count(); ++i) {
      const Memory partition = (*old)->At(i);
      partition.ReadAnew();
      for (const SlotView& slot : ListSlots(partition)) all.emplace_back(slot.slot, slot.heartbeat);
    }
    return all;
  };
  const auto before = beats();
  for (milliseconds waited{0}; !before.empty() && waited < kWatch; waited += kWatchStep) {
    std::this_thread::sleep_for(kWatchStep);
    if (beats() == before) continue;
    return FailedPreconditionError(devices.front() +
                                   ": others take part in this pool right now (daxfsctl pool info "
                                   "shows them); end them first");
  }
  return Status::Ok();
}

}  // namespace

Status FromCore(int error, std::string_view what) {
  return error == 0 ? Status::Ok() : Status::FromErrno(-error, what);
}

namespace {

// A device to make a pool of, nobody else's from here on.
struct Claimed {
  os::SharedMemory memory;
  os::FileLock lock;  // on one machine, one at a time
};

Result<Claimed> Claim(const std::string& path, const CreateOptions& options) {
  ASSIGN_OR_RETURN(os::SharedMemory device, os::SharedMemory::Open(path, os::Access::kWrite));
  if (device.bytes().size() < DAXFS_BLOCK_SIZE) {
    return InvalidArgumentError(path + ": too small for a pool");
  }
  ASSIGN_OR_RETURN(std::optional<os::FileLock> lock, os::FileLock::Of(device.fd()));
  if (!lock) return FailedPreconditionError(path + ": another process is making a pool of it");
  RETURN_IF_ERROR(CheckReplaced(path, device.bytes(), options.replace));
  if (options.size_bytes != 0 && options.size_bytes < DAXFS_BLOCK_SIZE) {
    return InvalidArgumentError(path + ": too small for a pool");
  }
  return Claimed{std::move(device), *std::move(lock)};
}

// Behind all checks: a file that is replaced may have had another size.
Result<std::vector<Claimed>> SetSizes(const CreateOptions& options, std::vector<Claimed> devices) {
  if (options.size_bytes == 0) return devices;
  std::vector<Claimed> sized;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string& path = options.devices[i];
    RETURN_IF_ERROR(devices[i].memory.SetSize(options.size_bytes).WithContext(path));
    ASSIGN_OR_RETURN(os::SharedMemory memory, os::SharedMemory::Open(path, os::Access::kWrite));
    sized.push_back({std::move(memory), std::move(devices[i].lock)});
  }
  return sized;
}

// What the last device may grow to.
Result<std::uint64_t> MaxSize(const CreateOptions& options, std::uint64_t size) {
  const std::uint64_t max = options.max_size_bytes == 0 ? size : options.max_size_bytes;
  if (max < size) {
    return InvalidArgumentError("--max-size is less than the " + std::to_string(size) +
                                " bytes that are there");
  }
  if (max > size && !options.partitions.empty()) {
    return InvalidArgumentError("a partitioned pool cannot grow");
  }
  return max;
}

std::uint32_t ChunksIn(const daxfs_pool_device_info& device, std::uint64_t size) {
  const std::uint64_t room = size < device.data_offset ? 0 : size - device.data_offset;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(room >> DAXFS_CHUNK_SHIFT, device.chunk_count));
}

Status FillInfo(const CreateOptions& options, daxfs_pool_info* info) {
  RETURN_IF_ERROR(RandomUuid(info->uuid));
  RETURN_IF_ERROR(Random(info->epoch));
  info->created = os::WallClockSeconds();
  std::copy(options.label.begin(), options.label.end(), std::begin(info->label));
  info->row_count = options.rows;
  info->slot_count = options.slots;
  info->host_count = options.hosts;
  info->partition_count = static_cast<__u32>(options.partitions.size());
  info->alias_buckets = BucketsFor(options.aliases);
  return Status::Ok();
}

// One partition, or all there is. Nobody may take what is half made for a pool: the old magics have
// gone, the new ones come last.
void Format(std::span<std::byte> bytes, const daxfs_pool_info& info, std::uint32_t device,
            std::uint32_t chunks) {
  if (device == 0) {
    daxfs_pool_map map;
    daxfs_pool_tables(&info, &map);
    Clear(bytes.subspan(DAXFS_BLOCK_SIZE, map.end - DAXFS_BLOCK_SIZE));
    daxfs_pool words;
    daxfs_pool_view(&words, &info, bytes.data());
    for (std::uint32_t i = chunks; i < info.chunk_count; ++i) daxfs_chunk_remove(&words, i);
    if (info.partition_count > 1) daxfs_write_back(bytes.data(), map.end);
  }
  daxfs_pool_format(bytes.data(), &info, device);
  if (info.partition_count > 1) daxfs_write_back(bytes.data(), DAXFS_BLOCK_SIZE);
}

Status CheckPartitions(const CreateOptions& options) {
  if (options.partitions.empty()) return Status::Ok();
  if (options.devices.size() != 1 || options.partitions.size() < 2 || options.hosts != 0) {
    return InvalidArgumentError(
        "a partitioned pool has one device, and the ids of two hosts or more");
  }
  std::vector<Uuid> sorted = options.partitions;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    return InvalidArgumentError("a host is named twice: one partition each");
  }
  return Status::Ok();
}

}  // namespace

Status CreatePool(const CreateOptions& options) {
  daxfs_pool_info info = {};
  info.device_count = static_cast<__u32>(options.devices.size());
  if (options.devices.empty() || options.devices.size() > DAXFS_POOL_DEVICES) {
    return InvalidArgumentError("a pool has 1 to " + std::to_string(DAXFS_POOL_DEVICES) +
                                " devices");
  }
  if (options.label.size() >= sizeof(info.label)) {
    return InvalidArgumentError("label: at most " + std::to_string(sizeof(info.label) - 1) +
                                " bytes");
  }
  RETURN_IF_ERROR(CheckPartitions(options));
  if (options.replace) RETURN_IF_ERROR(CheckNobodyLives(options.devices));
  std::vector<Claimed> devices;
  for (std::size_t i = 0; i < options.devices.size(); ++i) {
    const std::string& path = options.devices[i];
    if (options.size_bytes != 0) {
      Status made = os::MakeSharedFile(path, options.size_bytes);
      // One of another size is made anew, behind all checks.
      if (!made.ok() && !(options.replace && made.code() == StatusCode::kAlreadyExists)) {
        return made;
      }
    }
    ASSIGN_OR_RETURN(Claimed device, Claim(path, options));
    info.device[i].size =
        options.size_bytes == 0 ? device.memory.bytes().size() : options.size_bytes;
    RETURN_IF_ERROR(RandomUuid(info.device[i].uuid));
    devices.push_back(std::move(device));
  }
  daxfs_pool_device_info& last = info.device[info.device_count - 1];
  const std::uint64_t present = last.size;
  ASSIGN_OR_RETURN(last.size, MaxSize(options, present));
  RETURN_IF_ERROR(FillInfo(options, &info));
  const char* why = "";
  if (daxfs_pool_defaults(&info, &why) != 0) {
    return InvalidArgumentError(options.devices.front() + ": " + why);
  }
  const std::uint32_t chunks = last.first_chunk + ChunksIn(last, present);
  if (chunks == last.first_chunk) {
    return InvalidArgumentError(options.devices.back() +
                                ": too small for its tables and one chunk; they need " +
                                std::to_string(last.data_offset + DAXFS_CHUNK_SIZE) + " bytes");
  }
  ASSIGN_OR_RETURN(devices, SetSizes(options, std::move(devices)));
  for (Claimed& device : devices) Clear(device.memory.bytes().first(DAXFS_BLOCK_SIZE));
  if (info.partition_count > 1) {
    // The first partition's superblock says that there is a pool: it is the last.
    for (std::uint32_t i = info.partition_count; i-- > 0;) {
      info.partition = i;
      std::memcpy(info.partition_host, options.partitions[i].data(), sizeof(info.partition_host));
      const std::span<std::byte> bytes = devices.front().memory.bytes();
      Format(bytes.subspan(i * info.partition_size, info.partition_size), info, 0,
             info.chunk_count);
    }
    return Status::Ok();
  }
  for (std::size_t i = devices.size(); i-- > 0;) {
    Format(devices[i].memory.bytes(), info, static_cast<std::uint32_t>(i), chunks);
  }
  return Status::Ok();
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
