// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.hpp"

namespace daxfs::pool {

// SHA-256, by which objects and what they are made of are found.
using Digest = std::array<std::byte, 32>;
using Uuid = std::array<std::byte, 16>;

// "sha256:" and 64 lower-case hexadecimal digits.
std::string DigestText(const Digest& digest);
// Errors: kInvalidArgument for any other spelling.
Result<Digest> ParseDigest(std::string_view text);
Digest Sha256(std::string_view bytes);

// As RFC 9562 writes it.
std::string UuidText(const Uuid& uuid);
// With or without dashes, either case. Errors: kInvalidArgument.
Result<Uuid> ParseUuid(std::string_view text);

}  // namespace daxfs::pool
