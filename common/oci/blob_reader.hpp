// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "common/oci/byte_reader.hpp"
#include "common/oci/digest.hpp"
#include "common/oci/file_reader.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::oci {

// A blob, hashed as it streams: the end is only reached when size and digest are right.
class BlobReader final : public PositionedReader {
 public:
  // `stored`: its bytes, wherever they are.
  BlobReader(std::unique_ptr<ByteReader> stored, const Digest& digest, std::uint64_t size_bytes)
      : stored_(std::move(stored)), digest_(digest), size_bytes_(size_bytes) {}
  // Of a file.
  BlobReader(os::UniqueFd fd, const Digest& digest, std::uint64_t size_bytes)
      : BlobReader(std::make_unique<DescriptorReader>(std::move(fd)), digest, size_bytes) {}

  // Errors: of what is stored; kDataLoss when the blob is not what its descriptor says.
  Result<std::size_t> Read(std::span<std::byte> out) override;

 private:
  Status CheckEnd();

  const std::unique_ptr<ByteReader> stored_;
  const Digest digest_;
  const std::uint64_t size_bytes_;
  bool checked_ = false;
  Sha256 hasher_;
};

}  // namespace daxfs::oci
