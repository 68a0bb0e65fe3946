// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/oci/byte_reader.hpp"

namespace daxfs::oci::testing {

// A string as a stream in steps of at most `step` bytes; after the last byte it ends or fails with
// `end`.
class TextReader final : public ByteReader {
 public:
  TextReader(std::string text, std::size_t step, Status end = {})
      : text_(std::move(text)), step_(step), end_(std::move(end)) {}

  Result<std::size_t> Read(std::span<std::byte> out) override {
    const std::size_t n = std::min({step_, out.size(), text_.size() - at_});
    if (n == 0 && !end_.ok()) return end_;
    const auto from = std::as_bytes(std::span(text_)).subspan(at_, n);
    std::copy(from.begin(), from.end(), out.begin());
    at_ += n;
    return n;
  }

 private:
  std::string text_;
  std::size_t step_;
  Status end_;
  std::size_t at_ = 0;
};

// The same as chunks; every chunk is a copy of its own, so that a use after its time shows under
// ASan.
class TextChunks final : public ChunkSource {
 public:
  TextChunks(std::string text, std::size_t step, Status end = {})
      : text_(std::move(text)), step_(step), end_(std::move(end)) {}

  Result<std::span<const std::byte>> Next() override {
    const std::size_t n = std::min(step_, text_.size() - at_);
    if (n == 0 && !end_.ok()) return end_;
    const auto from = std::as_bytes(std::span(text_)).subspan(at_, n);
    at_ += n;
    chunk_ = std::vector<std::byte>(from.begin(), from.end());
    return std::span<const std::byte>(chunk_);
  }

 private:
  std::string text_;
  std::size_t step_;
  Status end_;
  std::size_t at_ = 0;
  std::vector<std::byte> chunk_;
};

}  // namespace daxfs::oci::testing
