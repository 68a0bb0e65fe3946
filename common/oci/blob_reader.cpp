// SPDX-License-Identifier: Apache-2.0
#include "common/oci/blob_reader.hpp"

#include <string>

namespace daxfs::oci {

Result<std::size_t> BlobReader::Read(std::span<std::byte> out) {
  ASSIGN_OR_RETURN(const std::size_t n, stored_->Read(out));
  if (position() + n > size_bytes_) {
    return DataLossError("blob " + digest_.ToString() + " is larger than its descriptor says (" +
                         std::to_string(size_bytes_) + " bytes)");
  }
  if (n == 0) {
    RETURN_IF_ERROR(CheckEnd());
    return n;
  }
  hasher_.Update(out.first(n));
  Advance(n);
  return n;
}

Status BlobReader::CheckEnd() {
  if (checked_) return Status::Ok();
  const std::string name = "blob " + digest_.ToString();
  if (position() != size_bytes_) {
    return DataLossError(name + " has " + std::to_string(position()) +
                         " bytes, its descriptor says " + std::to_string(size_bytes_));
  }
  const Digest actual = hasher_.Finish();
  if (actual != digest_) return DataLossError(name + ": its bytes have " + actual.ToString());
  checked_ = true;
  return Status::Ok();
}

}  // namespace daxfs::oci
