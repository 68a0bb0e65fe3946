// SPDX-License-Identifier: Apache-2.0
#include "common/base/utf8.hpp"

namespace daxfs::base {

std::size_t Utf8Length(std::string_view text) {
  if (text.empty()) return 0;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = at(0);
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xbf;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) length = 2;
  if (lead >= 0xe0 && lead <= 0xef) length = 3;
  if (lead >= 0xf0 && lead <= 0xf4) length = 4;
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  if (length == 0 || text.size() < length) return 0;
  if (at(1) < low || at(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((at(i) & 0xc0U) != 0x80) return 0;
  }
  return length;
}

bool CommandsTerminal(std::string_view sequence) {
  if (sequence.size() == 1) {
    const auto byte = static_cast<unsigned char>(sequence[0]);
    return byte < 0x20 || byte == 0x7f;
  }
  if (sequence.size() == 2) {
    return sequence[0] == '\xc2' && static_cast<unsigned char>(sequence[1]) < 0xa0;
  }
  const auto within = [&](std::string_view first, std::string_view last) {
    return sequence >= first && sequence <= last;
  };
  // U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069.
  return sequence.size() == 3 &&
         (within("\xe2\x80\x8e", "\xe2\x80\x8f") || within("\xe2\x80\xaa", "\xe2\x80\xae") ||
          within("\xe2\x81\xa6", "\xe2\x81\xa9"));
}

}  // namespace daxfs::base
