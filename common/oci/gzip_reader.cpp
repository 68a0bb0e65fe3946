// SPDX-License-Identifier: Apache-2.0
#include "common/oci/gzip_reader.hpp"

#include <isa-l/igzip_lib.h>

#include <algorithm>

namespace daxfs::oci {
namespace {

constexpr std::size_t kMagicBytes = 3;

}  // namespace

bool IsGzip(std::span<const std::byte> bytes) {
  return bytes.size() >= kMagicBytes && bytes[0] == std::byte{0x1f} &&
         bytes[1] == std::byte{0x8b} && bytes[2] == std::byte{0x08};
}

GzipReader::GzipReader(InputBuffer& input)
    : input_(input), state_(std::make_unique<inflate_state>()) {
  isal_inflate_init(state_.get());
  state_->crc_flag = ISAL_GZIP;
}

GzipReader::~GzipReader() = default;

Result<std::size_t> GzipReader::Read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (!ended_ && done == 0) {
    if (state_->block_state == ISAL_BLOCK_FINISH) {
      RETURN_IF_ERROR(NextMember());
      continue;
    }
    RETURN_IF_ERROR(input_.Fill(1));
    const std::span<const std::byte> in = input_.pending();
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(in.data()));
    state_->avail_in = static_cast<std::uint32_t>(in.size());
    state_->next_out = reinterpret_cast<std::uint8_t*>(out.data());
    state_->avail_out = static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), 1U << 30U));
    const std::uint32_t room = state_->avail_out;
    const int result = isal_inflate(state_.get());
    if (result < 0) return DataLossError("damaged gzip stream");
    input_.Take(in.size() - state_->avail_in);
    done = room - state_->avail_out;
    const bool stuck = done == 0 && input_.ended();
    if (stuck && state_->block_state != ISAL_BLOCK_FINISH) {
      return DataLossError("gzip stream is cut short");
    }
  }
  return done;
}

Status GzipReader::NextMember() {
  RETURN_IF_ERROR(input_.Fill(kMagicBytes));
  if (!IsGzip(input_.pending())) return CheckTrailer();
  isal_inflate_reset(state_.get());
  state_->crc_flag = ISAL_GZIP;
  return Status::Ok();
}

Status GzipReader::CheckTrailer() {
  for (;;) {
    RETURN_IF_ERROR(input_.Fill(1));
    const std::span<const std::byte> rest = input_.pending();
    if (rest.empty()) break;
    if (!std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; })) {
      return DataLossError("foreign bytes behind the gzip stream");
    }
    input_.Take(rest.size());
  }
  ended_ = true;
  return Status::Ok();
}

}  // namespace daxfs::oci
