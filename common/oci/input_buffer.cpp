// SPDX-License-Identifier: Apache-2.0
#include "common/oci/input_buffer.hpp"

#include <cstring>

namespace daxfs::oci {

Status InputBuffer::Fill(std::size_t at_least) {
  while (pending_.size() < at_least && !source_ended_) {
    const std::size_t kept = pending_.size();
    if (kept > 0) std::memmove(bytes_.data(), pending_.data(), kept);
    ASSIGN_OR_RETURN(const std::size_t n, source_.Read(std::span(bytes_).subspan(kept)));
    source_ended_ = n == 0;
    pending_ = std::span(bytes_).first(kept + n);
  }
  return Status::Ok();
}

}  // namespace daxfs::oci
