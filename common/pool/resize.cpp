// SPDX-License-Identifier: Apache-2.0
#include "common/pool/resize.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "common/base/units.hpp"
#include "common/os/file_lock.hpp"
#include "common/pool/inspect.hpp"

namespace daxfs::pool {
namespace {

std::string Advice(const ObjectView& object) {
  if (object.state == RowState::kBuilding) {
    return "it is being built by slot " + std::to_string(object.slot) + ": wait for it";
  }
  if (object.state != RowState::kReady) return "it is just going: try again";
  if (!object.names.empty()) return "daxfsctl pool rm takes its name away";
  if (object.uses > 0) return "it is in use: wait for its users, or end them";
  if (object.holds > 0) return "it is held: daxfsctl pool info shows for what";
  return "nobody uses it: daxfsctl pool gc frees it";
}

std::string NameOf(const ObjectView& object) {
  std::string row = "row " + std::to_string(object.ref.row);
  if (object.state != RowState::kReady) return row;
  return (object.names.empty() ? row : "\"" + object.names.front() + "\"") + ", " +
         DigestText(object.digest);
}

// Who has a chunk, or the first granule of it that somebody has.
std::optional<ObjectView> OwnerOf(const Memory& memory, std::uint32_t chunk) {
  const daxfs_pool& words = memory.words();
  std::uint64_t owner = daxfs_load(&words.owners[chunk]);
  for (std::uint32_t i = 0; i < DAXFS_CHUNK_GRANULES && daxfs_owner_is_split(owner) != 0; ++i) {
    const std::uint64_t granule = daxfs_load(&words.granules[chunk * DAXFS_CHUNK_GRANULES + i]);
    if (granule != 0) owner = granule;
  }
  for (ObjectView& object : ListObjects(memory)) {
    if (object.ref.row == daxfs_reference_row(owner)) return std::move(object);
  }
  return std::nullopt;
}

Status InTheWay(const Memory& memory, std::uint32_t chunk) {
  const std::optional<ObjectView> object = OwnerOf(memory, chunk);
  return FailedPreconditionError(
      memory.name() + ": cannot be smaller: chunk " + std::to_string(chunk) +
      (object ? " holds " + NameOf(*object) + "; " + Advice(*object)
              : std::string(" was just taken or freed, or its owner word is damaged: try again, or "
                            "daxfsctl pool check")));
}

// Where the device could not be made smaller.
void AddWhatIsThere(const Memory& memory) {
  const daxfs_pool_device_info& last = memory.info().device[memory.info().device_count - 1];
  const Result<std::uint64_t> size = memory.last_device().Size();
  if (!size.ok() || *size < last.data_offset) return;
  const std::uint64_t there =
      std::min<std::uint64_t>((*size - last.data_offset) >> DAXFS_CHUNK_SHIFT, last.chunk_count);
  for (std::uint32_t i = 0; i < there; ++i) {
    daxfs_chunk_add(&memory.words(), last.first_chunk + i);
  }
}

// Behind `keep` there is nothing; or all that was taken away is there again.
Status TakeAway(Participant& participant, std::uint32_t keep) {
  const Memory& memory = participant.memory();
  const daxfs_pool& words = memory.words();
  std::vector<std::uint32_t> taken;
  for (std::uint32_t chunk = words.owner_count; chunk-- > keep;) {
    if (daxfs_load(&words.owners[chunk]) == DAXFS_OWNER_ABSENT) continue;
    participant.MergeChunk(chunk);
    if (daxfs_chunk_remove(&words, chunk) == 0) {
      taken.push_back(chunk);
      continue;
    }
    Status refused = InTheWay(memory, chunk);
    std::reverse(taken.begin(), taken.end());
    for (const std::uint32_t one : taken) daxfs_chunk_add(&words, one);
    return refused;
  }
  return Status::Ok();
}

}  // namespace

Status Resize(Participant& participant, std::uint64_t size_bytes) {
  const Memory& memory = participant.memory();
  const daxfs_pool_info& info = memory.info();
  const daxfs_pool_device_info& last = info.device[info.device_count - 1];
  if (info.partition_count > 1) {
    return InvalidArgumentError(memory.name() + ": a partitioned pool keeps its size");
  }
  if (size_bytes > last.size) {
    return InvalidArgumentError(memory.name() + ": has tables for " + base::HumanSize(last.size) +
                                " at most (create --max-size says so)");
  }
  if (size_bytes < last.data_offset + DAXFS_CHUNK_SIZE) {
    return InvalidArgumentError(memory.name() + ": its tables and one chunk need " +
                                std::to_string(last.data_offset + DAXFS_CHUNK_SIZE) + " bytes");
  }
  // Of a file and its size there is one machine's to decide; a device has the size it has.
  ASSIGN_OR_RETURN(const std::optional<os::FileLock> lock,
                   os::FileLock::Of(memory.last_device().fd()));
  if (!lock) return FailedPreconditionError(memory.name() + ": another process is resizing it");
  const std::uint32_t keep =
      last.first_chunk +
      static_cast<std::uint32_t>(std::min<std::uint64_t>(
          (size_bytes - last.data_offset) >> DAXFS_CHUNK_SHIFT, last.chunk_count));
  RETURN_IF_ERROR(TakeAway(participant, keep));
  const os::SharedMemory& device = memory.last_device();
  ASSIGN_OR_RETURN(const std::uint64_t before, device.Size());
  Status sized = size_bytes < before ? device.SetSize(size_bytes) : device.Reserve(size_bytes);
  sized = sized.WithContext(memory.name());
  if (!sized.ok()) {
    AddWhatIsThere(memory);
    return sized;
  }
  for (std::uint32_t chunk = last.first_chunk; chunk < keep; ++chunk) {
    daxfs_chunk_add(&memory.words(), chunk);
  }
  return Status::Ok();
}

}  // namespace daxfs::pool
