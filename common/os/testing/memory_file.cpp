// SPDX-License-Identifier: Apache-2.0
#include "common/os/testing/memory_file.hpp"

#include <algorithm>
#include <cerrno>

namespace daxfs::os::testing {

Status MemoryFile::Count() {
  ++state_.calls;
  if (state_.calls == state_.fail_at_call) return Status::FromErrno(ENOSPC, "memory file");
  return Status::Ok();
}

Status MemoryFile::Write(std::uint64_t offset, std::span<const std::byte> data) {
  RETURN_IF_ERROR(Count());
  if (bytes_.size() < offset + data.size()) bytes_.resize(offset + data.size());
  std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  return Status::Ok();
}

Status MemoryFile::Read(std::uint64_t offset, std::span<std::byte> out) {
  RETURN_IF_ERROR(Count());
  if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
    return DataLossError("memory file: read beyond the end");
  }
  std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  return Status::Ok();
}

Status MemoryFile::Zero(std::uint64_t offset, std::uint64_t length) {
  RETURN_IF_ERROR(Count());
  if (bytes_.size() < offset + length) bytes_.resize(offset + length);
  std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
  return Status::Ok();
}

Status MemoryFile::Truncate(std::uint64_t size_bytes) {
  RETURN_IF_ERROR(Count());
  bytes_.resize(size_bytes);
  return Status::Ok();
}

Status MemoryFile::Commit() {
  RETURN_IF_ERROR(Count());
  state_.committed = bytes_;
  state_.is_committed = true;
  return Status::Ok();
}

}  // namespace daxfs::os::testing
