// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "common/base/status.hpp"

namespace daxfs::os {

// A read-only shared mapping of a whole file; unmapped by the destructor. An empty file has no
// bytes. Whoever truncates the file meanwhile makes reading it raise SIGBUS, as with every mapping.
class Mapping {
 public:
  // Errors: by errno; kInvalidArgument if `path` is not a regular file.
  static Result<Mapping> OpenReadOnly(const std::string& path);

  Mapping(Mapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)),
        length_(std::exchange(other.length_, 0)) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping();

  // Valid as long as this object.
  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(address_), length_};
  }

 private:
  Mapping(void* address, std::size_t length) : address_(address), length_(length) {}

  void* address_;
  std::size_t length_;
};

}  // namespace daxfs::os
