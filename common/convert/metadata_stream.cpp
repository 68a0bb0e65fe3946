// SPDX-License-Identifier: Apache-2.0
#include "common/convert/metadata_stream.hpp"

#include <cstring>

namespace daxfs::convert {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20U;

}  // namespace

MetadataStream::MetadataStream(Sink& sink, oci::Sha256& hasher, std::uint64_t offset)
    : sink_(sink), hasher_(hasher), offset_(offset) {
  buffer_.reserve(kBufferBytes);
}

Result<std::byte*> MetadataStream::Reserve(std::size_t size) {
  DAXFS_CHECK(size <= kBufferBytes);
  if (buffer_.size() + size > kBufferBytes) RETURN_IF_ERROR(Flush());
  const std::size_t at = buffer_.size();
  buffer_.resize(at + size);
  return buffer_.data() + at;
}

Status MetadataStream::Append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return Status::Ok();
  ASSIGN_OR_RETURN(std::byte * out, Reserve(bytes.size()));
  std::memcpy(out, bytes.data(), bytes.size());
  return Status::Ok();
}

Status MetadataStream::PadTo(std::uint64_t unit) {
  const std::uint64_t rest = position() % unit;
  if (rest == 0) return Status::Ok();
  return Reserve(unit - rest).status();
}

Status MetadataStream::Flush() {
  RETURN_IF_ERROR(sink_.Write(offset_, buffer_));
  hasher_.Update(buffer_);
  offset_ += buffer_.size();
  buffer_.clear();
  return Status::Ok();
}

}  // namespace daxfs::convert
