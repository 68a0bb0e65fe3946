// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/sink.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::convert {

// Appends to the metadata area through a buffer and hashes what passes.
class MetadataStream {
 public:
  // Goes on from byte `offset` of the image. Borrows both.
  MetadataStream(Sink& sink, oci::Sha256& hasher, std::uint64_t offset);

  // Room for the next `size` bytes (at most 1 MiB), zeroed; valid until the next call. Errors: the
  // sink's.
  Result<std::byte*> Reserve(std::size_t size);
  Status Append(std::span<const std::byte> bytes);
  // Zeros up to the next multiple of `unit` bytes.
  Status PadTo(std::uint64_t unit);
  // Where the next byte goes, from the image's start.
  std::uint64_t position() const { return offset_ + buffer_.size(); }
  Status Flush();

 private:
  Sink& sink_;
  oci::Sha256& hasher_;
  std::uint64_t offset_;
  std::vector<std::byte> buffer_;
};

}  // namespace daxfs::convert
