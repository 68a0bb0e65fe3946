// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace daxfs::base {

// Bytes of the well-formed UTF-8 sequence at the front of `text` (RFC 3629), 0 if there is none.
std::size_t Utf8Length(std::string_view text);

// Whether one UTF-8 sequence speaks to a terminal instead of being shown: control characters (also
// U+0080 to U+009F) and those that turn the direction of text.
bool CommandsTerminal(std::string_view sequence);

}  // namespace daxfs::base
