// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "common/oci/byte_reader.hpp"
#include "common/oci/digest.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::oci {

// A blob in a file, hashed as it streams: the end is only reached when size and digest are right.
class BlobReader final : public PositionedReader {
 public:
  BlobReader(os::UniqueFd fd, const Digest& digest, std::uint64_t size_bytes)
      : fd_(std::move(fd)), digest_(digest), size_bytes_(size_bytes) {}

  // Errors: by errno; kDataLoss when the blob is not what its descriptor says.
  Result<std::size_t> Read(std::span<std::byte> out) override;

 private:
  Status CheckEnd();

  os::UniqueFd fd_;
  const Digest digest_;
  const std::uint64_t size_bytes_;
  bool checked_ = false;
  Sha256 hasher_;
};

}  // namespace daxfs::oci
