// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <concepts>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>

#include "common/base/status.hpp"

namespace daxfs::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

// "debug", "info", "warning" or "error". Errors: kInvalidArgument otherwise.
Result<LogLevel> ParseLogLevel(std::string_view text);
// "text" or "json". Errors: kInvalidArgument otherwise.
Result<LogFormat> ParseLogFormat(std::string_view text);

// One `key=value` of a log line. Borrows the key; owns the value's text.
struct LogField {
  LogField(std::string_view name, std::string_view text) : key(name), value(text) {}
  LogField(std::string_view name, const char* text) : key(name), value(text) {}
  template <std::integral T>
  LogField(std::string_view name, T number)
      : key(name), value(std::to_string(number)), bare(true) {}

  std::string_view key;
  std::string value;
  bool bare = false;  // a number: JSON writes it without quotes
};

using LogFields = std::initializer_list<LogField>;

// Where finished lines go. Write is called by one thread at a time; `line` has no newline.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Write(std::string_view line) = 0;
};

// Standard error, one write a line.
class StderrSink final : public LogSink {
 public:
  void Write(std::string_view line) override;
};

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  bool color = false;  // text only; the caller asks the terminal
};

// Writes one line per event. Thread safe. Log where a Status is finally handled, not on its way.
class Logger {
 public:
  // Borrows `sink` for its own life.
  Logger(LogSink& sink, LogOptions options)
      : sink_(sink), options_(options), level_(options.level) {}

  // From now on.
  void SetLevel(LogLevel level) { level_ = level; }

  void Debug(std::string_view event, LogFields fields = {}) {
    Log(LogLevel::kDebug, event, fields);
  }
  void Info(std::string_view event, LogFields fields = {}) { Log(LogLevel::kInfo, event, fields); }
  void Warning(std::string_view event, LogFields fields = {}) {
    Log(LogLevel::kWarning, event, fields);
  }
  void Error(std::string_view event, LogFields fields = {}) {
    Log(LogLevel::kError, event, fields);
  }
  void Log(LogLevel level, std::string_view event, LogFields fields);
  // The last word of a program that failed: "program: message" for people, else an error with code.
  void Failure(std::string_view program, const Status& status);

 private:
  LogSink& sink_;
  const LogOptions options_;
  std::atomic<LogLevel> level_;
  std::mutex mutex_;
};

// `text` as a JSON string with quotes. Bytes that are not UTF-8 become U+FFFD.
std::string JsonQuote(std::string_view text);

// `text` with what is no printable character as \xHH: names in it come from anywhere.
std::string Printable(std::string_view text);

}  // namespace daxfs::base
