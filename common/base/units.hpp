// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.hpp"

namespace daxfs::base {

// Parses a size or address: decimal or 0x hexadecimal, then at most one of K M G T (powers of 1024,
// either case) which hexadecimal may carry too: "8M", "0x200000", "2g", "4096". Errors:
// kInvalidArgument for anything else; kOutOfRange when it does not fit 64 bits.
Result<std::uint64_t> ParseSize(std::string_view text);

// The shortest exact spelling ParseSize reads back: "8M", "4097".
std::string FormatSize(std::uint64_t size_bytes);

// For people: "1.5 MiB", "312 B". Three significant digits at least.
std::string HumanSize(std::uint64_t size_bytes);

}  // namespace daxfs::base
