// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/status.hpp"

namespace daxfs::os {

// A new file being made, written at any offset. Nothing of it can be seen under its name before
// Commit, and nothing is left when it is destroyed without. Bytes never written read as zero. One
// thread at a time.
class OutputFile {
 public:
  virtual ~OutputFile() = default;

  // Errors of all: by errno, kResourceExhausted when the disk is full.
  virtual Status Write(std::uint64_t offset, std::span<const std::byte> data) = 0;
  // Requires: the range was written or lies inside a range zeroed or truncated to.
  virtual Status Read(std::uint64_t offset, std::span<std::byte> out) = 0;
  // Makes [offset, offset + length) read as zero; the file grows to hold it.
  virtual Status Zero(std::uint64_t offset, std::uint64_t length) = 0;
  virtual Status Truncate(std::uint64_t size_bytes) = 0;
  // Gives the file its name, replacing what was there. At most once; nothing may follow.
  virtual Status Commit() = 0;
};

}  // namespace daxfs::os
