// SPDX-License-Identifier: Apache-2.0
// How a pool is made: checks first, then room for all of it, then its tables, the magic last.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "common/os/file_lock.hpp"
#include "common/os/system.hpp"
#include "common/pool/heart.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/memory.hpp"

namespace daxfs::pool {
namespace {

void Clear(std::span<std::byte> bytes) { std::memset(bytes.data(), 0, bytes.size()); }

// Without a magic, of whatever kind.
bool IsBlank(std::span<const std::byte> bytes) {
  static constexpr std::size_t kMagicBytes = 8;
  return std::all_of(bytes.begin(), bytes.begin() + kMagicBytes,
                     [](std::byte b) { return b == std::byte{0}; });
}

Status CheckReplaced(const std::string& path, std::span<const std::byte> bytes, bool replace) {
  if (replace || IsBlank(bytes)) return Status::Ok();
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
  if (beats().empty() || !Changes(beats)) return Status::Ok();
  return FailedPreconditionError(devices.front() +
                                 ": others take part in this pool right now (daxfsctl pool info "
                                 "shows them); end them first");
}

// A device to make a pool of, nobody else's from here on. What is not kept gets its size back.
class Claimed {
 public:
  static Result<std::unique_ptr<Claimed>> Take(const std::string& path,
                                               const CreateOptions& options);
  ~Claimed() {
    if (!kept_) std::ignore = memory_.SetSize(old_size_);
  }
  Claimed(const Claimed&) = delete;
  Claimed& operator=(const Claimed&) = delete;

  std::span<std::byte> bytes() const { return memory_.bytes(); }
  std::uint64_t size() const { return size_; }  // of the pool's part of it
  // Memory behind all of it. Nothing is lost by it.
  Status Reserve() const { return memory_.Reserve(size_); }
  // As large as the pool, for good. A file that is replaced may have had another size.
  Status Keep() {
    kept_ = true;
    RETURN_IF_ERROR(memory_.SetSize(size_));
    return memory_.Widen(size_);
  }

 private:
  Claimed(os::SharedMemory memory, os::FileLock lock, std::uint64_t old_size, std::uint64_t size)
      : memory_(std::move(memory)), lock_(std::move(lock)), old_size_(old_size), size_(size) {}

  os::SharedMemory memory_;
  const os::FileLock lock_;  // on one machine, one at a time
  std::uint64_t old_size_;
  const std::uint64_t size_;
  bool kept_ = false;
};

Result<std::unique_ptr<Claimed>> Claimed::Take(const std::string& path,
                                               const CreateOptions& options) {
  std::error_code error;
  const bool had_bytes = std::filesystem::file_size(path, error) > 0 && !error;
  if (options.size_bytes != 0) {
    const Status made = os::MakeSharedFile(path, options.size_bytes);
    // One of another size is made anew, behind all checks.
    if (!made.ok() && !(options.replace && made.code() == StatusCode::kAlreadyExists)) return made;
  }
  Result<os::SharedMemory> opened = os::SharedMemory::Open(path, os::Access::kWrite);
  if (opened.status().code() == StatusCode::kNotFound) {
    return NotFoundError(opened.status().message() + "; --size SIZE makes a file");
  }
  ASSIGN_OR_RETURN(os::SharedMemory device, std::move(opened));
  ASSIGN_OR_RETURN(std::optional<os::FileLock> lock, os::FileLock::Of(device.fd()));
  if (!lock) return FailedPreconditionError(path + ": another process is making a pool of it");
  const std::uint64_t there = device.bytes().size();
  const std::uint64_t size = options.size_bytes == 0 ? there : options.size_bytes;
  std::unique_ptr<Claimed> self(
      new Claimed(std::move(device), *std::move(lock), had_bytes ? there : 0, size));
  if (std::min(there, size) < DAXFS_BLOCK_SIZE) {
    return InvalidArgumentError(path + ": too small for a pool with its " +
                                std::to_string(std::min(there, size)) + " bytes");
  }
  // In a full file system a look at what is not there ends in SIGBUS, too.
  RETURN_IF_ERROR(self->memory_.Reserve(DAXFS_BLOCK_SIZE).WithContext(path));
  // Somebody may have made a pool of it before the lock was ours.
  if (!IsBlank(self->bytes())) self->old_size_ = there;
  RETURN_IF_ERROR(CheckReplaced(path, self->bytes(), options.replace));
  return self;
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
  std::vector<std::unique_ptr<Claimed>> devices;
  for (std::size_t i = 0; i < options.devices.size(); ++i) {
    ASSIGN_OR_RETURN(std::unique_ptr<Claimed> device, Claimed::Take(options.devices[i], options));
    info.device[i].size = device->size();
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
  for (std::size_t i = 0; i < devices.size(); ++i) {
    RETURN_IF_ERROR(devices[i]->Reserve().WithContext(options.devices[i]));
  }
  for (std::size_t i = 0; i < devices.size(); ++i) {
    RETURN_IF_ERROR(devices[i]->Keep().WithContext(options.devices[i]));
  }
  for (const auto& device : devices) Clear(device->bytes().first(DAXFS_BLOCK_SIZE));
  if (info.partition_count > 1) {
    // The first partition's superblock says that there is a pool: it is the last.
    for (std::uint32_t i = info.partition_count; i-- > 0;) {
      info.partition = i;
      std::memcpy(info.partition_host, options.partitions[i].data(), sizeof(info.partition_host));
      const std::span<std::byte> bytes = devices.front()->bytes();
      Format(bytes.subspan(i * info.partition_size, info.partition_size), info, 0,
             info.chunk_count);
    }
    return Status::Ok();
  }
  for (std::size_t i = devices.size(); i-- > 0;) {
    Format(devices[i]->bytes(), info, static_cast<std::uint32_t>(i), chunks);
  }
  return Status::Ok();
}

}  // namespace daxfs::pool
