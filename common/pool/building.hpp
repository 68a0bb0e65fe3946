// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/status.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {

// An object in the making. Nobody can find it before Publish, and its memory is free again when it
// is destroyed without. The first 2 MiB are kept aside: an object that ends there takes granules of
// 64 KiB, else chunks of 2 MiB. One thread at a time.
class Building {
 public:
  ~Building();
  Building(const Building&) = delete;
  Building& operator=(const Building&) = delete;

  Ref ref() const { return ref_; }

  // Errors: kResourceExhausted when the pool is full, with what could be collected.
  Status Write(std::uint64_t offset, std::span<const std::byte> data);
  Status Zero(std::uint64_t offset, std::uint64_t length);
  // Requires: every byte of it was written or zeroed.
  void Read(std::uint64_t offset, std::span<std::byte> out) const;
  // So many bytes it is, all written or zeroed; what lies behind is given back. Once.
  Status Seal(std::uint64_t size_bytes);

  struct Published {
    Use use;
    bool existed = false;  // an equal object was there; this one is gone
  };
  // Everybody may find it by its digest from now on. Requires: sealed. Once. Errors: kAborted if
  // this host was fenced meanwhile; kResourceExhausted.
  Result<Published> Publish(const Digest& digest);

  // The pool memory it takes, in bytes; and what it needs by all that was written, which is all of
  // it once its size is known.
  std::uint64_t pool_bytes() const;
  std::uint64_t wanted_bytes() const { return wanted_bytes_; }
  bool knows_size() const { return size_bytes_ != 0; }

 private:
  friend class Participant;
  Building(Participant& participant, Ref ref, ObjectKind kind)
      : participant_(participant), ref_(ref), kind_(kind) {}

  Status Reach(std::uint64_t end);
  Status Spill();
  Status AddChunk();
  Status PlaceGranules();
  void GiveBack(std::size_t keep);
  template <typename F>
  void ForEachPart(std::uint64_t offset, std::uint64_t length, F visit) const;
  void Flush() const;

  Participant& participant_;
  Ref ref_;
  ObjectKind kind_;
  std::vector<std::byte> staged_;  // while it may still be small
  bool spilled_ = false;
  bool sealed_ = false;
  bool over_ = false;  // published or abandoned
  std::vector<std::uint32_t> chunks_;
  std::uint32_t first_granule_ = 0;
  std::uint32_t granules_ = 0;
  std::uint64_t size_bytes_ = 0;  // once it is known
  std::uint64_t wanted_bytes_ = 0;
};

}  // namespace daxfs::pool
