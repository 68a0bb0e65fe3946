// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "common/oci/byte_reader.hpp"
#include "common/oci/input_buffer.hpp"

namespace daxfs::oci {

// The plain bytes of a stream that is gzip, zstd or not compressed; its first bytes tell which,
// whatever a media type or a file's name says.
class InflateReader final : public ByteReader {
 public:
  // Borrows `source`.
  explicit InflateReader(ByteReader& source) : input_(source) {}

  // Whether there is anything to inflate. Errors: as Read.
  Result<bool> IsCompressed();
  // Errors: those of GzipReader and ZstdReader; kUnimplemented for bzip2 and xz; the source's.
  Result<std::size_t> Read(std::span<std::byte> out) override;

 private:
  Status Sniff();
  Result<std::size_t> ReadPlain(std::span<std::byte> out);

  InputBuffer input_;
  bool sniffed_ = false;
  std::unique_ptr<ByteReader> decoder_;  // null: not compressed
};

}  // namespace daxfs::oci
