// SPDX-License-Identifier: Apache-2.0
#include "common/base/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

namespace daxfs::base {
namespace {

struct Unit {
  char letter;
  unsigned shift;
};

constexpr std::array<Unit, 4> kUnits = {{{'T', 40}, {'G', 30}, {'M', 20}, {'K', 10}}};

unsigned ShiftOfLetter(char c) {
  for (const Unit& unit : kUnits) {
    if (c == unit.letter || c == unit.letter + ('a' - 'A')) return unit.shift;
  }
  return 0;
}

Status NotASize(std::string_view text) {
  return InvalidArgumentError(
      fmt::format("\"{}\" is not a size (examples: 8M, 2G, 0x200000)", text));
}

}  // namespace

Result<std::uint64_t> ParseSize(std::string_view text) {
  std::string_view digits = text;
  int radix = 10;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    digits.remove_prefix(2);
    radix = 16;
  }
  std::uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, radix);
  if (error == std::errc::result_out_of_range) {
    return Status(StatusCode::kOutOfRange, fmt::format("\"{}\" is more than 64 bits", text));
  }
  if (error != std::errc()) return NotASize(text);
  if (stop == end) return value;
  const unsigned shift = ShiftOfLetter(*stop);
  if (shift == 0 || stop + 1 != end) return NotASize(text);
  if (value > (std::numeric_limits<std::uint64_t>::max() >> shift)) {
    return Status(StatusCode::kOutOfRange, fmt::format("\"{}\" is more than 64 bits", text));
  }
  return value << shift;
}

std::string FormatSize(std::uint64_t size_bytes) {
  for (const Unit& unit : kUnits) {
    const std::uint64_t one = std::uint64_t{1} << unit.shift;
    if (size_bytes != 0 && size_bytes % one == 0) {
      return fmt::format("{}{}", size_bytes >> unit.shift, unit.letter);
    }
  }
  return std::to_string(size_bytes);
}

std::string HumanSize(std::uint64_t size_bytes) {
  for (const Unit& unit : kUnits) {
    const double value =
        static_cast<double>(size_bytes) / static_cast<double>(std::uint64_t{1} << unit.shift);
    if (value >= 1.0) return fmt::format("{:.{}f} {}iB", value, value < 100 ? 1 : 0, unit.letter);
  }
  return fmt::format("{} B", size_bytes);
}

}  // namespace daxfs::base
