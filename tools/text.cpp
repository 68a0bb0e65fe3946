// SPDX-License-Identifier: Apache-2.0
#include "tools/text.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "common/base/utf8.hpp"
#include "common/os/file_io.hpp"

namespace daxfs::tools {
namespace {

struct TypeRow {
  std::uint32_t type;
  char letter;
  std::string_view name;
};

constexpr std::array<TypeRow, 7> kTypes = {{{0140000, 's', "socket"},
                                            {0120000, 'l', "symlink"},
                                            {0100000, '-', "file"},
                                            {0060000, 'b', "block device"},
                                            {0040000, 'd', "directory"},
                                            {0020000, 'c', "character device"},
                                            {0010000, 'p', "fifo"}}};

const TypeRow* FindType(std::uint32_t mode) {
  for (const TypeRow& row : kTypes) {
    if (row.type == (mode & 0170000U)) return &row;
  }
  return nullptr;
}

// The execute letter, or what stands there with a set-id or sticky bit.
char ExecuteLetter(bool execute, bool special, char letter) {
  if (!special) return execute ? 'x' : '-';
  return execute ? letter : static_cast<char>(letter - 'a' + 'A');
}

}  // namespace

std::string ModeText(std::uint32_t mode) {
  const TypeRow* type = FindType(mode);
  std::string text(1, type == nullptr ? '?' : type->letter);
  constexpr std::array<char, 3> kSpecialLetters = {'s', 's', 't'};
  for (std::uint32_t who = 0; who < 3; ++who) {
    const std::uint32_t bits = mode >> (6 - 3 * who);
    const bool special = (mode & (04000U >> who)) != 0;
    text += (bits & 4U) != 0 ? 'r' : '-';
    text += (bits & 2U) != 0 ? 'w' : '-';
    text += ExecuteLetter((bits & 1U) != 0, special, kSpecialLetters.at(who));
  }
  return text;
}

std::string_view TypeText(std::uint32_t mode) {
  const TypeRow* type = FindType(mode);
  return type == nullptr ? "unknown" : type->name;
}

std::string TimeText(std::int64_t seconds, std::uint32_t nanoseconds) {
  constexpr std::int64_t kDay = 86400;
  constexpr std::int64_t kYears400 = 146097;  // days
  std::int64_t days = seconds / kDay;
  std::int64_t rest = seconds % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  // <chrono> knows 16-bit years: take whole cycles of the calendar out first.
  const std::int64_t cycles = days / kYears400;
  const std::chrono::year_month_day date(
      std::chrono::sys_days(std::chrono::days(days - cycles * kYears400)));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
                     static_cast<int>(date.year()) + cycles * 400,
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     rest / 3600, rest / 60 % 60, rest % 60, nanoseconds);
}

std::string Ago(std::uint64_t seconds, std::uint64_t now) {
  if (seconds == 0) return "never";
  if (seconds > now) return "to come";  // clocks differ
  const std::uint64_t age = now - seconds;
  if (age < 120) return fmt::format("{} s ago", age);
  if (age < 7200) return fmt::format("{} min ago", age / 60);
  if (age < 172800) return fmt::format("{} h ago", age / 3600);
  return fmt::format("{} d ago", age / 86400);
}

std::string PrintableName(std::string_view name) {
  std::string text;
  while (!name.empty()) {
    const std::size_t length = base::Utf8Length(name);
    const auto byte = static_cast<unsigned char>(name[0]);
    if (length == 0 || byte == '\\' || base::CommandsTerminal(name.substr(0, length))) {
      text += fmt::format("\\x{:02x}", byte);
      name.remove_prefix(1);
    } else {
      text += name.substr(0, length);
      name.remove_prefix(length);
    }
  }
  return text;
}

std::string Counted(std::uint64_t count, std::string_view noun) {
  const char* const ending = count == 1 ? "" : noun.ends_with('s') ? "es" : "s";
  return fmt::format("{} {}{}", count, noun, ending);
}

namespace {

// Bytes of its first `columns` characters, at most all.
std::size_t BytesOf(std::string_view line, std::size_t columns) {
  std::size_t at = 0;
  for (; columns > 0 && at < line.size(); --columns) {
    at += std::max<std::size_t>(base::Utf8Length(line.substr(at)), 1);
  }
  return at;
}

std::string_view FirstLine(std::string_view text) { return text.substr(0, text.find('\n')); }

}  // namespace

std::string FitColumns(std::string_view text, std::size_t columns) {
  std::string fitted;
  while (!text.empty()) {
    const std::string_view line = FirstLine(text);
    const bool fits = columns == 0 || BytesOf(line, columns) == line.size();
    fitted += line.substr(0, fits ? line.size() : BytesOf(line, columns - 1));
    if (!fits) fitted += "…";
    if (line.size() < text.size()) fitted += '\n';
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return fitted;
}

std::string FitRows(std::string_view text, std::size_t rows) {
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  if (lines <= rows || rows == 0) return std::string(text);
  std::size_t end = 0;
  for (std::size_t i = 0; i + 1 < rows; ++i) end = text.find('\n', end) + 1;
  return std::string(text.substr(0, end)) + fmt::format("… {} more lines\n", lines - (rows - 1));
}

std::string ForScreen(const std::string& text, bool whole) {
  const std::optional<os::TerminalSize> terminal = os::SizeOfTerminal(STDOUT_FILENO);
  return whole || !terminal ? text : FitColumns(text, terminal->columns);
}

std::string JsonLine(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace daxfs::tools
