// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/base/status.hpp"

struct evp_md_ctx_st;

namespace daxfs::oci {

// A SHA-256 digest; in text "sha256:" and 64 lower-case hexadecimal digits (image-spec,
// descriptor.md).
struct Digest {
  std::array<std::byte, 32> bytes{};

  // Errors: kInvalidArgument for any other spelling; kUnimplemented for another algorithm.
  static Result<Digest> Parse(std::string_view text);

  std::string Hex() const;
  std::string ToString() const { return "sha256:" + Hex(); }
  auto operator<=>(const Digest&) const = default;
};

// The chainID of a layer over the chain `parent` (image-spec, config.md).
Digest ChainId(const Digest& parent, const Digest& diff_id);

// SHA-256 of bytes that come in parts. One thread at a time.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) = default;
  Sha256& operator=(Sha256&&) = default;
  ~Sha256();

  void Update(std::span<const std::byte> bytes);
  // The digest of all bytes since construction or the last Finish; begins anew.
  Digest Finish();
  // Forgets what was hashed so far.
  void Reset();

  static Digest Of(std::span<const std::byte> bytes);

 private:
  struct FreeContext {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, FreeContext> context_;
};

}  // namespace daxfs::oci
