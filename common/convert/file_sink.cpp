// SPDX-License-Identifier: Apache-2.0
#include "common/convert/sink.hpp"

namespace daxfs::convert {

Status FileSink::Write(std::uint64_t offset, std::span<const std::byte> data) {
  return file_->Write(offset, data);
}

Status FileSink::Read(std::uint64_t offset, std::span<std::byte> out) {
  return file_->Read(offset, out);
}

Status FileSink::Zero(std::uint64_t offset, std::uint64_t length) {
  return file_->Zero(offset, length);
}

Status FileSink::Finish(std::uint64_t image_size, std::span<const std::byte, 8> magic) {
  RETURN_IF_ERROR(file_->Truncate(image_size));
  RETURN_IF_ERROR(file_->Write(0, magic));
  return file_->Commit();
}

}  // namespace daxfs::convert
