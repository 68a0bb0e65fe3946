// SPDX-License-Identifier: Apache-2.0
#include "common/os/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "common/base/units.hpp"

namespace daxfs::os {
namespace {

constexpr std::int64_t kBarEveryMs = 100;
constexpr std::int64_t kLineEveryMs = 10000;
constexpr std::uint64_t kBarWidth = 24;
constexpr unsigned kCallsPerLook = 64;  // at the clock
constexpr std::string_view kEraseLine = "\r\033[K";

}  // namespace

void TerminalBar::Write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

Progress::Progress(base::Logger& log, base::LogSink& bar, const os::Clock& clock,
                   const std::atomic<bool>& interrupted, Options options)
    : log_(log),
      bar_(bar),
      clock_(clock),
      interrupted_(interrupted),
      options_(options),
      constructed_ms_(clock.NowMs()) {}

void Progress::Begin(std::string_view step, std::uint64_t total_bytes) {
  step_ = step;
  all_bytes_ += std::exchange(source_bytes_, 0);
  all_entries_ += std::exchange(entries_, 0);
  total_bytes_ = total_bytes;
  started_ms_ = clock_.NowMs();
  shown_ms_ = started_ms_;
  log_.Debug("begin", {{"step", step_}, {"source_bytes", total_bytes_}});
}

Status Progress::Advance(std::uint64_t source_bytes, std::uint64_t entries) {
  source_bytes_ += source_bytes;
  entries_ += entries;
  if (interrupted_.load(std::memory_order_relaxed)) return CancelledError("interrupted");
  // Entries come by the hundred thousand: look at the clock for some of them only.
  if (source_bytes == 0 && ++calls_ % kCallsPerLook != 0) return Status::Ok();
  const std::int64_t now = clock_.NowMs();
  const std::int64_t every = options_.terminal ? kBarEveryMs : kLineEveryMs;
  if (!options_.quiet && now - shown_ms_ >= every) Show(now);
  return Status::Ok();
}

void Progress::Show(std::int64_t now_ms) {
  shown_ms_ = now_ms;
  if (options_.terminal) {
    bar_.Write(fmt::format("{}{}", kEraseLine, BarText(now_ms)));
  } else {
    log_.Info("working", {{"step", step_}, {"source_bytes", source_bytes_}, {"files", entries_}});
  }
}

std::string Progress::BarText(std::int64_t now_ms) const {
  const std::int64_t elapsed_ms = std::max<std::int64_t>(now_ms - started_ms_, 1);
  const auto seconds = static_cast<double>(elapsed_ms) / 1000.0;
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(source_bytes_) / seconds);
  const std::string amounts = fmt::format("{}  {} files  {}/s", base::HumanSize(source_bytes_),
                                          entries_, base::HumanSize(rate));
  if (total_bytes_ == 0) return fmt::format("{}  {}", step_, amounts);
  const std::uint64_t done = std::min(source_bytes_, total_bytes_);
  const std::uint64_t filled = done * kBarWidth / total_bytes_;
  return fmt::format("{}  [{:#<{}}{:.<{}}] {:3}%  {}", step_, "", filled, "", kBarWidth - filled,
                     done * 100 / total_bytes_, amounts);
}

void Progress::End() {
  if (options_.terminal && !options_.quiet) bar_.Write(kEraseLine);
  log_.Debug("done", {{"step", step_},
                      {"source_bytes", source_bytes_},
                      {"files", entries_},
                      {"elapsed_ms", clock_.NowMs() - started_ms_}});
}

}  // namespace daxfs::os
