// SPDX-License-Identifier: Apache-2.0
#include "common/oci/file_reader.hpp"

#include <algorithm>

#include "common/os/file_io.hpp"

namespace daxfs::oci {
namespace {

constexpr int kWaitMs = 200;

}  // namespace

Result<std::size_t> FileReader::Read(std::span<std::byte> out) {
  for (bool ready = false; !ready;) {
    if (interrupted_.load()) return Status(StatusCode::kCancelled, "interrupted");
    ASSIGN_OR_RETURN(ready, os::WaitReadable(fd_.get(), kWaitMs));
  }
  ASSIGN_OR_RETURN(const std::size_t n, os::ReadSome(fd_.get(), out));
  Advance(n);
  return n;
}

Result<std::size_t> DescriptorReader::Read(std::span<std::byte> out) {
  return os::ReadSome(fd_.get(), out);
}

Result<std::size_t> RangeReader::Read(std::span<std::byte> out) {
  const std::size_t n = std::min<std::uint64_t>(out.size(), length_ - position());
  RETURN_IF_ERROR(os::PReadExact(fd_->get(), offset_ + position(), out.first(n)));
  Advance(n);
  return n;
}

}  // namespace daxfs::oci
