// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "common/oci/byte_reader.hpp"

struct inflate_state;

namespace daxfs::oci {

// The plain bytes of a stream that is gzip or not compressed; its first bytes tell which, whatever
// a media type says. gzip may have several members and zeros behind the last (RFC 1952, 2.2).
class InflateReader final : public ByteReader {
 public:
  // Borrows `source`.
  explicit InflateReader(ByteReader& source);
  ~InflateReader() override;

  // Errors: kDataLoss for a damaged or truncated stream; kUnimplemented for zstd; the source's.
  Result<std::size_t> Read(std::span<std::byte> out) override;

 private:
  enum class Kind { kUnknown, kPlain, kGzip };
  Status Refill();
  Status Sniff();
  Result<std::size_t> ReadPlain(std::span<std::byte> out);
  Result<std::size_t> ReadGzip(std::span<std::byte> out);
  Status NextMember();
  Status CheckTrailer();

  ByteReader& source_;
  Kind kind_ = Kind::kUnknown;
  bool source_ended_ = false;
  bool ended_ = false;
  std::vector<std::byte> input_;
  std::span<const std::byte> pending_;  // of input_, not yet used
  std::unique_ptr<inflate_state> state_;
};

}  // namespace daxfs::oci
