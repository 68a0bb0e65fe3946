// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "common/oci/byte_reader.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::oci {

// What a descriptor yields from its position to its end: a file, a pipe.
class FileReader final : public PositionedReader {
 public:
  // Waits no longer for more once `interrupted` is true; borrowed.
  FileReader(os::UniqueFd fd, const std::atomic<bool>& interrupted)
      : fd_(std::move(fd)), interrupted_(interrupted) {}

  // Errors: by errno; kCancelled.
  Result<std::size_t> Read(std::span<std::byte> out) override;

 private:
  os::UniqueFd fd_;
  const std::atomic<bool>& interrupted_;
};

// The same of a file, whose bytes are all there.
class DescriptorReader final : public ByteReader {
 public:
  explicit DescriptorReader(os::UniqueFd fd) : fd_(std::move(fd)) {}

  // Errors: by errno.
  Result<std::size_t> Read(std::span<std::byte> out) override;

 private:
  os::UniqueFd fd_;
};

// A part of a file that others read too.
class RangeReader final : public PositionedReader {
 public:
  // `length` bytes from `offset` of `fd`, which is shared.
  RangeReader(std::shared_ptr<const os::UniqueFd> fd, std::uint64_t offset, std::uint64_t length)
      : fd_(std::move(fd)), offset_(offset), length_(length) {}

  // Errors: kDataLoss if the file ends before the range does; by errno.
  Result<std::size_t> Read(std::span<std::byte> out) override;

 private:
  std::shared_ptr<const os::UniqueFd> fd_;
  const std::uint64_t offset_;
  const std::uint64_t length_;
};

}  // namespace daxfs::oci
