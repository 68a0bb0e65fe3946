// SPDX-License-Identifier: Apache-2.0
#include "common/pool/building.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/os/system.hpp"

namespace daxfs::pool {
namespace {

constexpr std::uint64_t kStagedMax = DAXFS_CHUNK_SIZE;

}  // namespace

Building::~Building() {
  if (over_) return;
  const std::lock_guard lock(participant_.mutex_);
  daxfs_row_abandon(&participant_.memory_->words(), participant_.slot_, ref_.row, ref_.generation);
}

// Visits memory that holds [offset, offset + length), part by part.
template <typename F>
void Building::ForEachPart(std::uint64_t offset, std::uint64_t length, F visit) const {
  while (length > 0) {
    const std::uint64_t in_chunk = offset % DAXFS_CHUNK_SIZE;
    const std::uint64_t n = std::min(length, DAXFS_CHUNK_SIZE - in_chunk);
    visit(participant_.memory_->Chunk(chunks_[offset / DAXFS_CHUNK_SIZE]).subspan(in_chunk, n));
    offset += n;
    length -= n;
  }
}

// Memory for all bytes below `end`.
Status Building::Reach(std::uint64_t end) {
  DAXFS_CHECK(!sealed_);
  if (!spilled_ && end <= kStagedMax) {
    if (staged_.size() < end) staged_.resize(end);
    return Status::Ok();
  }
  const std::uint64_t chunks = (end + DAXFS_CHUNK_SIZE - 1) / DAXFS_CHUNK_SIZE;
  wanted_bytes_ = std::max(wanted_bytes_, chunks * DAXFS_CHUNK_SIZE);
  if (!spilled_) RETURN_IF_ERROR(Spill());
  while (chunks_.size() * std::uint64_t{DAXFS_CHUNK_SIZE} < end) RETURN_IF_ERROR(AddChunk());
  return Status::Ok();
}

Status Building::Spill() {
  spilled_ = true;
  wanted_bytes_ = std::max<std::uint64_t>(wanted_bytes_, DAXFS_CHUNK_SIZE);
  RETURN_IF_ERROR(AddChunk());
  const std::span<std::byte> chunk = participant_.memory_->Chunk(chunks_.front());
  std::copy(staged_.begin(), staged_.end(), chunk.begin());
  staged_ = {};
  return Status::Ok();
}

Status Building::AddChunk() {
  ASSIGN_OR_RETURN(const std::uint32_t chunk, participant_.TakeChunk(*this));
  chunks_.push_back(chunk);
  os::FaultIn(participant_.memory_->Chunk(chunk));
  // Who waits for this object sees that somebody is at it.
  const daxfs_pool& words = participant_.memory_->words();
  daxfs_word* const progress = &words.row_records[ref_.row].progress;
  daxfs_store(progress, chunks_.size() * std::uint64_t{DAXFS_CHUNK_SIZE});
  daxfs_stored(words.role, progress, sizeof(*progress), 1);
  return Status::Ok();
}

Status Building::Write(std::uint64_t offset, std::span<const std::byte> data) {
  RETURN_IF_ERROR(Reach(offset + data.size()));
  if (!spilled_) {
    std::copy(data.begin(), data.end(), staged_.begin() + static_cast<std::ptrdiff_t>(offset));
    return Status::Ok();
  }
  ForEachPart(offset, data.size(), [&](std::span<std::byte> part) {
    std::memcpy(part.data(), data.data(), part.size());
    data = data.subspan(part.size());
  });
  return Status::Ok();
}

Status Building::Zero(std::uint64_t offset, std::uint64_t length) {
  RETURN_IF_ERROR(Reach(offset + length));
  if (!spilled_) {
    std::fill_n(staged_.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
    return Status::Ok();
  }
  ForEachPart(offset, length,
              [](std::span<std::byte> part) { std::memset(part.data(), 0, part.size()); });
  return Status::Ok();
}

void Building::Read(std::uint64_t offset, std::span<std::byte> out) const {
  if (!spilled_) {
    DAXFS_CHECK(offset + out.size() <= staged_.size());
    std::copy_n(staged_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return;
  }
  ForEachPart(offset, out.size(), [&](std::span<std::byte> part) {
    std::memcpy(out.data(), part.data(), part.size());
    out = out.subspan(part.size());
  });
}

Status Building::PlaceGranules() {
  const auto count = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(1, (size_bytes_ + DAXFS_GRANULE_SIZE - 1) >> DAXFS_GRANULE_SHIFT));
  ASSIGN_OR_RETURN(first_granule_, participant_.TakeGranules(ref_, count));
  granules_ = count;
  const std::span<std::byte> memory = participant_.memory_->Granules(first_granule_, count);
  staged_.resize(memory.size());
  std::copy(staged_.begin(), staged_.end(), memory.begin());
  return Status::Ok();
}

// Chunks behind the first `keep` are free again.
void Building::GiveBack(std::size_t keep) {
  for (std::size_t i = keep; i < chunks_.size(); ++i) {
    daxfs_chunk_give_back(&participant_.memory_->words(), chunks_[i], ref_.row, ref_.generation);
  }
  chunks_.resize(keep);
}

Status Building::Seal(std::uint64_t size_bytes) {
  DAXFS_CHECK(!sealed_);
  size_bytes_ = size_bytes;
  if (!spilled_) {
    // What is in staged_ behind the end is dropped; what was never written below it is zeros.
    staged_.resize(size_bytes);
    if (size_bytes <= kStagedMax - DAXFS_GRANULE_SIZE) {
      RETURN_IF_ERROR(PlaceGranules());
      sealed_ = true;
      return Status::Ok();
    }
    RETURN_IF_ERROR(Spill());
  }
  const std::uint64_t chunks = (size_bytes + DAXFS_CHUNK_SIZE - 1) / DAXFS_CHUNK_SIZE;
  RETURN_IF_ERROR(Reach(std::max<std::uint64_t>(size_bytes, 1)));
  GiveBack(std::max<std::uint64_t>(chunks, 1));
  const std::uint64_t end = chunks_.size() * std::uint64_t{DAXFS_CHUNK_SIZE};
  // Recycled memory holds what others wrote.
  RETURN_IF_ERROR(Zero(size_bytes, end - size_bytes));
  sealed_ = true;
  return Status::Ok();
}

std::uint64_t Building::pool_bytes() const {
  return chunks_.size() * std::uint64_t{DAXFS_CHUNK_SIZE} +
         (std::uint64_t{granules_} << DAXFS_GRANULE_SHIFT);
}

void Building::Flush() const {
  const Memory& memory = *participant_.memory_;
  if (granules_ != 0) {
    const std::span<std::byte> bytes = memory.Granules(first_granule_, granules_);
    memory.Publish(bytes);
  }
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const std::span<std::byte> bytes = memory.Chunk(chunks_[i]);
    memory.Publish(bytes);
    daxfs_link_write(&memory.words(), chunks_[i],
                     i + 1 < chunks_.size() ? chunks_[i + 1] : DAXFS_NO_CHUNK);
  }
}

Result<Building::Published> Building::Publish(const Digest& digest) {
  DAXFS_CHECK(sealed_ && !over_);
  // What a host that was stated to be off had may be others' by now: not a byte of theirs is
  // touched, as far as it can be seen.
  RETURN_IF_ERROR(participant_.CheckBuilding(ref_));
  Flush();
  RETURN_IF_ERROR(participant_.CheckBuilding(ref_));
  daxfs_object_info object = {};
  object.size = object.progress = size_bytes_;
  object.created = object.used = os::WallClockSeconds();
  object.kind = static_cast<__u32>(kind_);
  object.first = granules_ != 0 ? first_granule_ : chunks_.front();
  object.chunk_count = static_cast<__u32>(chunks_.size());
  object.granule_count = granules_;
  std::memcpy(object.digest, digest.data(), digest.size());
  daxfs_object_write(&participant_.memory_->words(), ref_.row, &object);
  ASSIGN_OR_RETURN(Participant::PublishedRow row, participant_.PublishRow(ref_, digest));
  over_ = true;
  if (row.adopted) return Published{std::move(row.use), true};
  RETURN_IF_ERROR(participant_.AddAlias(row.use, {AliasKind::kRoot, digest}));
  return Published{std::move(row.use), false};
}

}  // namespace daxfs::pool
