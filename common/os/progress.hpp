// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/log.hpp"
#include "common/os/clock.hpp"

namespace daxfs::os {

// Standard error without newlines: a bar rewrites its own line.
class TerminalBar final : public base::LogSink {
 public:
  void Write(std::string_view text) override;
};

// Tells the person how far long work is: one line that rewrites itself on a terminal, otherwise a
// log line every ten seconds. Ends the work when `interrupted` becomes true.
class Progress {
 public:
  struct Options {
    bool terminal = false;
    bool quiet = false;
  };
  // Borrows all of them. `bar` gets the terminal's bytes.
  Progress(base::Logger& log, base::LogSink& bar, const os::Clock& clock,
           const std::atomic<bool>& interrupted, Options options);

  // A step begins, for instance "layer 2 of 3". `total_bytes` of it, 0 if nobody knows.
  void Begin(std::string_view step, std::uint64_t total_bytes);
  // So much more is done. Errors: kCancelled.
  Status Advance(std::uint64_t source_bytes, std::uint64_t entries);
  void End();

  const std::atomic<bool>& interrupted() const { return interrupted_; }

  // Over all steps.
  std::uint64_t all_bytes() const { return all_bytes_ + source_bytes_; }
  std::uint64_t all_entries() const { return all_entries_ + entries_; }
  std::int64_t all_ms() const { return clock_.NowMs() - constructed_ms_; }

 private:
  std::string BarText(std::int64_t now_ms) const;
  void Show(std::int64_t now_ms);

  base::Logger& log_;
  base::LogSink& bar_;
  const os::Clock& clock_;
  const std::atomic<bool>& interrupted_;
  const Options options_;
  std::string step_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t source_bytes_ = 0;
  std::uint64_t entries_ = 0;
  std::int64_t started_ms_ = 0;
  std::int64_t shown_ms_ = 0;
  const std::int64_t constructed_ms_;
  std::uint64_t all_bytes_ = 0;  // of the steps before this one
  std::uint64_t all_entries_ = 0;
  unsigned calls_ = 0;
};

}  // namespace daxfs::os
