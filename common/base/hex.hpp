// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "common/base/status.hpp"

namespace daxfs::base {

// Two lower-case hexadecimal digits a byte.
std::string ToHex(std::span<const std::byte> bytes);

// Fills `out` from exactly 2 x out.size() digits, lower case only (digests have one spelling).
// Errors: kInvalidArgument for another length or any other character.
Status FromHex(std::string_view text, std::span<std::byte> out);

}  // namespace daxfs::base
