// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "common/base/status.hpp"
#include "common/os/shared_memory.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {

// What people write for an object: "sha256:..." of its root, layer, blob or chain, or its name.
// Errors: kNotFound.
Result<Use> FindAny(Participant& participant, std::string_view text);

// An object's bytes, one behind the other wherever they lie, as long as this lives.
class Mapped {
 public:
  // Errors: kDataLoss if the pool's own records of it are wrong.
  static Result<Mapped> Open(const Participant& participant, Use use);

  // Its own size; begins at a page.
  std::span<const std::byte> bytes() const { return memory_.bytes().first(size_bytes_); }
  const Use& use() const { return use_; }

 private:
  Mapped(Use use, os::Gathered memory, std::size_t size_bytes)
      : use_(std::move(use)), memory_(std::move(memory)), size_bytes_(size_bytes) {}

  Use use_;
  os::Gathered memory_;
  std::size_t size_bytes_;
};

}  // namespace daxfs::pool
