// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace daxfs::tools {

// "-rwsr-xr-x" as ls prints it. `mode` as in stat(2).
std::string ModeText(std::uint32_t mode);

// "file", "directory", "symlink", "character device", "block device", "fifo" or "socket".
std::string_view TypeText(std::uint32_t mode);

// "2024-02-29T12:00:00.000000001Z"; UTC whatever the time zone is. Years of more than four digits
// are kept.
std::string TimeText(std::int64_t seconds, std::uint32_t nanoseconds);

// "3 s ago"; by this host's clock, which need not be the writer's. Seconds since 1970; 0 is never.
std::string Ago(std::uint64_t seconds, std::uint64_t now);

// A name for a terminal: control characters, backslashes and bytes that are not UTF-8 as \xHH.
std::string PrintableName(std::string_view name);

// "1 chunk", "2 chunks", "3 aliases".
std::string Counted(std::uint64_t count, std::string_view noun);

// Each line cut to so many columns, a character each, with "…" where something is missing.
std::string FitColumns(std::string_view text, std::size_t columns);

// Its first lines, and how many more there are if it has more than `rows`.
std::string FitRows(std::string_view text, std::size_t rows);

// For standard output: cut to the terminal's columns, if it is one and not all is wanted.
std::string ForScreen(const std::string& text, bool whole);

// One line of it; bytes that are not UTF-8 are replaced.
std::string JsonLine(const nlohmann::ordered_json& json);

}  // namespace daxfs::tools
