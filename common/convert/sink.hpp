// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "common/base/status.hpp"
#include "common/os/output_file.hpp"

namespace daxfs::convert {

// Where one image goes: bytes addressed from the image's byte 0. Nobody can use the image before
// Finish, and nothing is left of it when the sink is destroyed without. One thread at a time.
class Sink {
 public:
  virtual ~Sink() = default;

  // Errors of all: whatever the medium says, kResourceExhausted when it is full.
  virtual Status Write(std::uint64_t offset, std::span<const std::byte> data) = 0;
  // Requires: every byte of the range was written or zeroed.
  virtual Status Read(std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual Status Zero(std::uint64_t offset, std::uint64_t length) = 0;
  // The image is whole: drops what lies behind `image_size` bytes, stores `magic` at byte 0 as the
  // last thing of all, and publishes. At most once; nothing may follow.
  virtual Status Finish(std::uint64_t image_size, std::span<const std::byte, 8> magic) = 0;
};

// An image as a file of its own.
class FileSink final : public Sink {
 public:
  explicit FileSink(std::unique_ptr<os::OutputFile> file) : file_(std::move(file)) {}

  Status Write(std::uint64_t offset, std::span<const std::byte> data) override;
  Status Read(std::uint64_t offset, std::span<std::byte> out) override;
  Status Zero(std::uint64_t offset, std::uint64_t length) override;
  Status Finish(std::uint64_t image_size, std::span<const std::byte, 8> magic) override;

 private:
  std::unique_ptr<os::OutputFile> file_;
};

}  // namespace daxfs::convert
