// SPDX-License-Identifier: Apache-2.0
#include "common/format/dump_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "common/base/hex.hpp"

namespace daxfs::format {
namespace {

constexpr std::uint32_t kPerSecond = 1000000000;
constexpr std::size_t kFractionDigits = 9;

bool IsPlain(char c, std::string_view also) {
  return c > 0x20 && c < 0x7f && c != '\\' && also.find(c) == std::string_view::npos;
}

Status Misspelt(std::string_view what, std::string_view text) {
  std::string shown = EscapeBytes(text.substr(0, 60));
  if (text.size() > 60) shown += "...";
  return InvalidArgumentError("\"" + shown + "\" is no " + std::string(what));
}

bool AllDigits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string EscapeBytes(std::string_view bytes, std::string_view also) {
  std::string text;
  text.reserve(bytes.size());
  for (const char& c : bytes) {
    if (IsPlain(c, also)) {
      text += c;
    } else {
      text += "\\x" + base::ToHex(std::as_bytes(std::span(&c, 1)));
    }
  }
  return text;
}

Result<std::string> UnescapeBytes(std::string_view text, std::string_view also) {
  std::string bytes;
  bytes.reserve(text.size());
  while (!text.empty()) {
    if (text[0] != '\\') {
      if (!IsPlain(text[0], also)) return Misspelt("escaped text (a byte that needs \\xHH)", text);
      bytes += text[0];
      text.remove_prefix(1);
      continue;
    }
    std::array<std::byte, 1> value{};
    const bool hex =
        text.size() >= 4 && text[1] == 'x' && base::FromHex(text.substr(2, 2), value).ok();
    const char c = static_cast<char>(value[0]);
    if (!hex || IsPlain(c, also)) return Misspelt("escaped text (\\xHH where needed)", text);
    bytes += c;
    text.remove_prefix(4);
  }
  return bytes;
}

std::string FormatDumpTime(const DumpTime& time) {
  const bool negative = time.seconds < 0;
  auto whole = static_cast<std::uint64_t>(time.seconds);
  std::uint32_t fraction = time.nanoseconds;
  if (negative) {
    whole = 0 - whole;
    if (fraction > 0) {  // -2 and 0.5 is minus 1.5
      whole -= 1;
      fraction = kPerSecond - fraction;
    }
  }
  std::string digits = std::to_string(fraction);
  digits.insert(0, kFractionDigits - digits.size(), '0');
  return (negative ? "-" : "") + std::to_string(whole) + "." + digits;
}

Result<DumpTime> ParseDumpTime(std::string_view text) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const std::string_view all = text;
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::string_view digits = text.substr(std::min(point + 1, text.size()));
  if (digits.size() != kFractionDigits || !AllDigits(digits)) {
    return Misspelt("time (seconds, a point, nine digits)", all);
  }
  const std::uint64_t most = kMost + (negative ? 1 : 0);
  ASSIGN_OR_RETURN(const std::uint64_t whole, ParseDumpNumber(text.substr(0, point), most));
  DumpTime time;
  std::from_chars(digits.data(), digits.data() + digits.size(), time.nanoseconds);
  if (!negative) {
    time.seconds = static_cast<std::int64_t>(whole);
    return time;
  }
  if (whole == 0 && time.nanoseconds == 0) return Misspelt("time (there is no -0)", all);
  if (whole == most && time.nanoseconds > 0) {
    return Status(StatusCode::kOutOfRange, "a time beyond 64 bits of seconds");
  }
  time.seconds = static_cast<std::int64_t>(0 - whole);
  if (time.nanoseconds > 0) {
    time.seconds -= 1;
    time.nanoseconds = kPerSecond - time.nanoseconds;
  }
  return time;
}

Result<std::uint64_t> ParseDumpNumber(std::string_view text, std::uint64_t most) {
  if (!AllDigits(text) || (text.size() > 1 && text[0] == '0')) return Misspelt("number", text);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number > most) {
    return Status(StatusCode::kOutOfRange,
                  EscapeBytes(text.substr(0, 60)) + " is more than " + std::to_string(most));
  }
  return number;
}

std::string FormatDumpSource(const std::optional<SourceInfo>& source) {
  if (!source) return "none";
  return "sha256:" + base::ToHex(source->digest) + " " + std::to_string(source->size_bytes);
}

Result<std::optional<SourceInfo>> ParseDumpSource(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (text == "none") return std::optional<SourceInfo>();
  SourceInfo source;
  const std::size_t space = std::min(text.find(' '), text.size());
  if (space == text.size() || !text.starts_with(kPrefix) ||
      !base::FromHex(text.substr(kPrefix.size(), space - kPrefix.size()), source.digest).ok() ||
      source.digest == SourceInfo().digest) {
    return Misspelt("source (none, or sha256:HEX and a number of bytes)", text);
  }
  ASSIGN_OR_RETURN(source.size_bytes, ParseDumpNumber(text.substr(space + 1), kMost));
  return std::optional<SourceInfo>(source);
}

// No name holds a NUL, so a slash that sorts like one sorts before every other byte.
bool ComesBefore(std::string_view path, std::string_view other) {
  const auto rank = [](char c) { return c == '/' ? 0 : static_cast<unsigned char>(c) + 1; };
  return std::lexicographical_compare(path.begin(), path.end(), other.begin(), other.end(),
                                      [&](char a, char b) { return rank(a) < rank(b); });
}

}  // namespace daxfs::format
