// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace daxfs::base {

// Bytes of the well-formed UTF-8 sequence at the front of `text` (RFC 3629), 0 if there is none.
std::size_t Utf8Length(std::string_view text);

}  // namespace daxfs::base
