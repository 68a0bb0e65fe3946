// SPDX-License-Identifier: Apache-2.0
#include "common/base/hex.hpp"

namespace daxfs::base {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string ToHex(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    const auto value = std::to_integer<unsigned>(b);
    text += kDigits[value >> 4U];
    text += kDigits[value & 15U];
  }
  return text;
}

Status FromHex(std::string_view text, std::span<std::byte> out) {
  if (text.size() != out.size() * 2) {
    return InvalidArgumentError("expected " + std::to_string(out.size() * 2) +
                                " hexadecimal digits, got " + std::to_string(text.size()));
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = DigitValue(text[2 * i]);
    const int low = DigitValue(text[2 * i + 1]);
    if (high < 0 || low < 0) return InvalidArgumentError("not lower-case hexadecimal");
    out[i] = static_cast<std::byte>(high * 16 + low);
  }
  return Status::Ok();
}

}  // namespace daxfs::base
