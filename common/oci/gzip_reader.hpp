// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "common/oci/byte_reader.hpp"
#include "common/oci/input_buffer.hpp"

struct inflate_state;

namespace daxfs::oci {

// Whether the bytes begin as a gzip member does (RFC 1952, 2.3).
bool IsGzip(std::span<const std::byte> bytes);

// The plain bytes of a gzip stream: several members are one stream (RFC 1952, 2.2), behind the last
// one there may be zeros, with which tapes and some tools pad.
class GzipReader final : public ByteReader {
 public:
  // Borrows `input`, which stands at the first member.
  explicit GzipReader(InputBuffer& input);
  ~GzipReader() override;

  // Errors: kDataLoss for a damaged or truncated stream; the source's.
  Result<std::size_t> Read(std::span<std::byte> out) override;

 private:
  Status NextMember();
  Status CheckTrailer();

  InputBuffer& input_;
  bool ended_ = false;
  std::unique_ptr<inflate_state> state_;
};

}  // namespace daxfs::oci
