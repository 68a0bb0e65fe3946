// SPDX-License-Identifier: Apache-2.0
#include "common/pool/digest.hpp"

#include <openssl/sha.h>

#include <cctype>

#include "common/base/hex.hpp"

namespace daxfs::pool {
namespace {

constexpr std::string_view kPrefix = "sha256:";

}  // namespace

std::string DigestText(const Digest& digest) { return std::string(kPrefix) + base::ToHex(digest); }

Result<Digest> ParseDigest(std::string_view text) {
  Digest digest;
  if (!text.starts_with(kPrefix) || !base::FromHex(text.substr(kPrefix.size()), digest).ok()) {
    return InvalidArgumentError("\"" + std::string(text) +
                                "\": a digest is sha256: and 64 lower-case hexadecimal digits");
  }
  return digest;
}

Digest Sha256(std::string_view bytes) {
  Digest digest;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes to C's bytes
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));  // NOLINT
  return digest;
}

std::string UuidText(const Uuid& uuid) {
  std::string text = base::ToHex(uuid);
  for (const std::size_t at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
  return text;
}

Result<Uuid> ParseUuid(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != '-') digits += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  Uuid uuid;
  if (!base::FromHex(digits, uuid).ok()) {
    return InvalidArgumentError("\"" + std::string(text) +
                                "\": no UUID (as /proc/sys/kernel/random/uuid gives one)");
  }
  return uuid;
}

}  // namespace daxfs::pool
