// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "common/os/output_file.hpp"

namespace daxfs::os::testing {

// What a MemoryFile leaves behind: outlives it.
struct MemoryFileState {
  std::vector<std::byte> committed;  // the bytes at Commit
  bool is_committed = false;
  int calls = 0;         // of every method so far
  int fail_at_call = 0;  // the call with this number (from 1) fails with ENOSPC; 0: none
};

// OutputFile in memory, able to fail the Nth call.
class MemoryFile final : public OutputFile {
 public:
  // Borrows `state`.
  explicit MemoryFile(MemoryFileState& state) : state_(state) {}
  Status Write(std::uint64_t offset, std::span<const std::byte> data) override;
  Status Read(std::uint64_t offset, std::span<std::byte> out) override;
  Status Zero(std::uint64_t offset, std::uint64_t length) override;
  Status Truncate(std::uint64_t size_bytes) override;
  Status Commit() override;

 private:
  Status Count();

  MemoryFileState& state_;
  std::vector<std::byte> bytes_;
};

}  // namespace daxfs::os::testing
