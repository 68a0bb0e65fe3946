// SPDX-License-Identifier: Apache-2.0
#include "common/oci/inflate_reader.hpp"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace daxfs::oci {
namespace {

constexpr std::size_t kInputBytes = std::size_t{1} << 18U;
constexpr std::size_t kSniffBytes = 4;

bool StartsWith(std::span<const std::byte> bytes, std::initializer_list<unsigned> magic) {
  if (bytes.size() < magic.size()) return false;
  return std::equal(magic.begin(), magic.end(), bytes.begin(), [](unsigned want, std::byte have) {
    return static_cast<std::byte>(want) == have;
  });
}

bool IsGzip(std::span<const std::byte> bytes) { return StartsWith(bytes, {0x1f, 0x8b, 0x08}); }

// A zstd frame, or the skippable one that seekable variants begin with (RFC 8878, 3.1).
bool IsZstd(std::span<const std::byte> bytes) {
  if (StartsWith(bytes, {0x28, 0xb5, 0x2f, 0xfd})) return true;
  return bytes.size() >= kSniffBytes && (bytes[0] & std::byte{0xf0}) == std::byte{0x50} &&
         StartsWith(bytes.subspan(1), {0x2a, 0x4d, 0x18});
}

}  // namespace

InflateReader::InflateReader(ByteReader& source)
    : source_(source), input_(kInputBytes), state_(std::make_unique<inflate_state>()) {
  isal_inflate_init(state_.get());
  state_->crc_flag = ISAL_GZIP;
}

InflateReader::~InflateReader() = default;

// Moves what is pending to the front of the buffer and reads behind it.
Status InflateReader::Refill() {
  if (source_ended_) return Status::Ok();
  const std::size_t kept = pending_.size();
  if (kept > 0) std::memmove(input_.data(), pending_.data(), kept);
  ASSIGN_OR_RETURN(const std::size_t n, source_.Read(std::span(input_).subspan(kept)));
  source_ended_ = n == 0;
  pending_ = std::span(input_).first(kept + n);
  return Status::Ok();
}

Status InflateReader::Sniff() {
  while (pending_.size() < kSniffBytes && !source_ended_) RETURN_IF_ERROR(Refill());
  if (IsZstd(pending_))
    return UnimplementedError("layers compressed with zstd are not supported yet");
  kind_ = IsGzip(pending_) ? Kind::kGzip : Kind::kPlain;
  return Status::Ok();
}

Result<std::size_t> InflateReader::Read(std::span<std::byte> out) {
  if (kind_ == Kind::kUnknown) RETURN_IF_ERROR(Sniff());
  return kind_ == Kind::kGzip ? ReadGzip(out) : ReadPlain(out);
}

Result<std::size_t> InflateReader::ReadPlain(std::span<std::byte> out) {
  if (pending_.empty()) return source_.Read(out);
  const std::size_t n = std::min(out.size(), pending_.size());
  std::copy_n(pending_.begin(), n, out.begin());
  pending_ = pending_.subspan(n);
  return n;
}

Result<std::size_t> InflateReader::ReadGzip(std::span<std::byte> out) {
  std::size_t done = 0;
  while (!ended_ && done == 0) {
    if (state_->block_state == ISAL_BLOCK_FINISH) {
      RETURN_IF_ERROR(NextMember());
      continue;
    }
    if (pending_.empty()) RETURN_IF_ERROR(Refill());
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(pending_.data()));
    state_->avail_in = static_cast<std::uint32_t>(pending_.size());
    state_->next_out = reinterpret_cast<std::uint8_t*>(out.data());
    state_->avail_out = static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), 1U << 30U));
    const std::uint32_t room = state_->avail_out;
    const int result = isal_inflate(state_.get());
    if (result < 0) return DataLossError("damaged gzip stream");
    pending_ = pending_.last(state_->avail_in);
    done = room - state_->avail_out;
    const bool stuck = done == 0 && pending_.empty() && source_ended_;
    if (stuck && state_->block_state != ISAL_BLOCK_FINISH) {
      return DataLossError("gzip stream is cut short");
    }
  }
  return done;
}

Status InflateReader::NextMember() {
  while (pending_.size() < kSniffBytes && !source_ended_) RETURN_IF_ERROR(Refill());
  if (!IsGzip(pending_)) return CheckTrailer();
  isal_inflate_reset(state_.get());
  state_->crc_flag = ISAL_GZIP;
  return Status::Ok();
}

// Behind the last member only zeros may follow: tapes and some tools pad with them.
Status InflateReader::CheckTrailer() {
  for (;;) {
    const bool zeros = std::all_of(pending_.begin(), pending_.end(),
                                   [](std::byte b) { return b == std::byte{0}; });
    if (!zeros) return DataLossError("foreign bytes behind the gzip stream");
    pending_ = {};
    if (source_ended_) break;
    RETURN_IF_ERROR(Refill());
  }
  ended_ = true;
  return Status::Ok();
}

}  // namespace daxfs::oci
