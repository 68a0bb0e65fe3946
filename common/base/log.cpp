// SPDX-License-Identifier: Apache-2.0
#include "common/base/log.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>

#include "common/base/utf8.hpp"

namespace daxfs::base {
namespace {

struct LevelRow {
  std::string_view name;
  std::string_view color;
};

constexpr std::array<LevelRow, 4> kLevels = {
    {{"debug", "\033[2m"}, {"info", ""}, {"warning", "\033[33m"}, {"error", "\033[31m"}}};

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

std::string TextLine(const LevelRow& level, std::string_view event, LogFields fields, bool color) {
  std::string line = fmt::format("{}: {}", level.name, event);
  if (color && !level.color.empty()) line = fmt::format("{}{}\033[0m", level.color, line);
  for (const LogField& field : fields) {
    line += fmt::format(" {}={}", field.key,
                        NeedsQuotes(field.value) ? JsonQuote(field.value) : field.value);
  }
  return line;
}

std::string JsonLine(const LevelRow& level, std::string_view event, LogFields fields) {
  std::string line = fmt::format(R"({{"level":"{}","event":{})", level.name, JsonQuote(event));
  for (const LogField& field : fields) {
    line += fmt::format(",{}:{}", JsonQuote(field.key),
                        field.bare ? field.value : JsonQuote(field.value));
  }
  return line + "}";
}

}  // namespace

std::string JsonQuote(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    const std::size_t length = Utf8Length(text);
    const char c = text[0];
    if (length == 0) {
      quoted += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return quoted + "\"";
}

Result<LogLevel> ParseLogLevel(std::string_view text) {
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels.at(i).name == text) return static_cast<LogLevel>(i);
  }
  return InvalidArgumentError(
      fmt::format("log level \"{}\": use debug, info, warning or error", text));
}

Result<LogFormat> ParseLogFormat(std::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return InvalidArgumentError(fmt::format("log format \"{}\": use text or json", text));
}

void StderrSink::Write(std::string_view line) {
  std::string with_newline(line);
  with_newline += '\n';
  std::fwrite(with_newline.data(), 1, with_newline.size(), stderr);
}

void Logger::Log(LogLevel level, std::string_view event, LogFields fields) {
  if (level < level_) return;
  const LevelRow& row = kLevels.at(static_cast<std::size_t>(level));
  const std::string line = options_.format == LogFormat::kJson
                               ? JsonLine(row, event, fields)
                               : TextLine(row, event, fields, options_.color);
  const std::scoped_lock lock(mutex_);
  sink_.Write(line);
}

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = Utf8Length(text);
    const auto first = static_cast<unsigned char>(text[0]);
    if (length == 0 || CommandsTerminal(text.substr(0, length))) {
      out += fmt::format("\\x{:02x}", first);
      text.remove_prefix(1);
      continue;
    }
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

void Logger::Failure(std::string_view program, const Status& status) {
  if (options_.format == LogFormat::kJson) {
    Error(
        "failed",
        {{"program", program}, {"code", StatusCodeName(status.code())}, {"err", status.message()}});
    return;
  }
  const LevelRow& row = kLevels.at(static_cast<std::size_t>(LogLevel::kError));
  const std::string message = Printable(status.message());
  const std::string line = options_.color
                               ? fmt::format("{}{}:\033[0m {}", row.color, program, message)
                               : fmt::format("{}: {}", program, message);
  const std::scoped_lock lock(mutex_);
  sink_.Write(line);
}

}  // namespace daxfs::base
