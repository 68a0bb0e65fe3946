// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/convert/sink.hpp"
#include "common/pool/building.hpp"

namespace daxfs::convert {

// An image as an object of a pool in the making. Finish seals it; publishing is the caller's, who
// knows its digest then. Borrows the object.
class PoolSink final : public Sink {
 public:
  explicit PoolSink(pool::Building& building) : building_(building) {}

  Status Write(std::uint64_t offset, std::span<const std::byte> data) override {
    return building_.Write(offset, data);
  }
  Status Read(std::uint64_t offset, std::span<std::byte> out) override {
    building_.Read(offset, out);
    return Status::Ok();
  }
  Status Zero(std::uint64_t offset, std::uint64_t length) override {
    return building_.Zero(offset, length);
  }
  Status Finish(std::uint64_t image_size, std::span<const std::byte, 8> magic) override {
    RETURN_IF_ERROR(building_.Write(0, magic));
    return building_.Seal(image_size);
  }

 private:
  pool::Building& building_;
};

}  // namespace daxfs::convert
