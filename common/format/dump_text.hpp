// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.hpp"
#include "common/format/image.hpp"

namespace daxfs::format {

// The words of docs/dump.md that its writer and its parser share: one spelling for every value.
inline constexpr std::string_view kDumpHeader = "daxfs-dump 1";
inline constexpr std::string_view kDumpEnd = "end";
inline constexpr std::size_t kDumpLineMax = std::size_t{1} << 20U;  // bytes, newline left out

struct DumpTime {
  std::int64_t seconds = 0;  // rounded down
  std::uint32_t nanoseconds = 0;
  bool operator==(const DumpTime&) const = default;
};

// `bytes` with all that is no printable ASCII, backslashes and the characters of `also` as \xHH.
std::string EscapeBytes(std::string_view bytes, std::string_view also = {});
// The reverse. Errors: kInvalidArgument for any spelling but EscapeBytes' own.
Result<std::string> UnescapeBytes(std::string_view text, std::string_view also = {});

// The time as one exact decimal number of seconds with nine digits behind the point: half a second
// before 1970 is "-0.500000000".
std::string FormatDumpTime(const DumpTime& time);
// Errors: kInvalidArgument for any other spelling, kOutOfRange beyond 64 bits of seconds.
Result<DumpTime> ParseDumpTime(std::string_view text);

// A decimal number of at most `most`, without sign or leading zeros. Errors: kInvalidArgument,
// kOutOfRange.
Result<std::uint64_t> ParseDumpNumber(std::string_view text, std::uint64_t most);

// "none", or digest and size of a tar: "sha256:HEX NUMBER".
std::string FormatDumpSource(const std::optional<SourceInfo>& source);
// Errors: kInvalidArgument, kOutOfRange for any other spelling.
Result<std::optional<SourceInfo>> ParseDumpSource(std::string_view text);

// Whether a path comes before another in a dump: each directory before what is in it, the names of
// a directory ascending by their bytes.
bool ComesBefore(std::string_view path, std::string_view other);

}  // namespace daxfs::format
