// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/os/clock.hpp"
#include "common/os/file_io.hpp"
#include "common/os/signal_watcher.hpp"
#include "common/os/system.hpp"
#include "imagebuilder/build.hpp"
#include "imagebuilder/options.hpp"
#include "imagebuilder/progress.hpp"
#include "imagebuilder/report.hpp"

namespace daxfs::imagebuilder {
namespace {

constexpr int kUsage = 2;

int Print(const std::string& text, base::Logger& log) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) == 0) return 0;
  log.Error("cannot write to standard output");
  return 1;
}

Result<std::string> ReadList(const std::string& path) {
  constexpr std::size_t kMaxBytes = 16U << 20U;
  ASSIGN_OR_RETURN(const os::UniqueFd fd,
                   path == "-" ? os::Duplicate(STDIN_FILENO) : os::OpenForReading(path));
  return os::ReadWholeFile(fd.get(), kMaxBytes).WithContext(path);
}

// Each by itself: one that fails stops no other.
int RunList(const Options& list, Progress& progress, base::Logger& log) {
  const auto failed = [&](const Status& status, int exit_status) {
    log.Failure("daxfs-build", status);
    if (list.json) static_cast<void>(Print(FailureJson(status) + "\n", log));
    return exit_status;
  };
  const Result<std::string> text = ReadList(list.list);
  if (!text.ok()) return failed(text.status(), 1);
  const Result<std::vector<Options>> all = ParseList(list, *text);
  if (!all.ok()) return failed(all.status(), kUsage);
  std::vector<ListedReport> reports;
  std::size_t failures = 0;
  for (const Options& one : *all) {
    Result<BuildReport> report = Build(one, progress, log);
    if (!report.ok()) {
      progress.End();
      ++failures;
      log.Failure("daxfs-build", report.status().WithContext(one.source.text));
    } else if (!list.json) {
      const int printed = Print(one.source.text + "\n" + SummaryText(*report), log);
      if (printed != 0) return printed;
    }
    reports.push_back({one.source.text, std::move(report)});
    if (progress.interrupted()) break;
  }
  const std::size_t left = all->size() - reports.size();
  if (list.json) {
    const int printed = Print(ListJson(list.pool, reports, left) + "\n", log);
    if (printed != 0) return printed;
  }
  if (left > 0) {
    log.Failure("daxfs-build",
                CancelledError("interrupted before the last " + std::to_string(left) + " sources"));
    return 1;
  }
  if (failures == 0) return 0;
  log.Failure("daxfs-build",
              FailedPreconditionError(std::to_string(failures) + " of " +
                                      std::to_string(all->size()) + " sources failed"));
  return 1;
}

int Run(const Options& options) {
  base::StderrSink sink;
  base::LogOptions log_options = options.log;
  const bool terminal = os::IsTerminal(STDERR_FILENO);
  log_options.color = os::ShowsColor(STDERR_FILENO);
  base::Logger log(sink, log_options);
  const Result<std::unique_ptr<os::SignalWatcher>> signals = os::SignalWatcher::Start();
  if (!signals.ok()) {
    log.Error("cannot watch for signals", {{"err", signals.status().message()}});
    return 1;
  }
  os::TerminalBar bar;
  const os::SteadyClock clock;
  const bool quiet = log_options.level > base::LogLevel::kInfo;
  const bool draws = terminal && log_options.format == base::LogFormat::kText;
  Progress progress(log, bar, clock, (*signals)->interrupted(), {draws, quiet});
  if (!options.list.empty()) return RunList(options, progress, log);
  const Result<BuildReport> report = Build(options, progress, log);
  if (!report.ok()) {
    progress.End();
    log.Failure("daxfs-build", report.status());
    if (options.json) static_cast<void>(Print(FailureJson(report.status()) + "\n", log));
    return 1;
  }
  return Print(options.json ? SummaryJson(*report) + "\n" : SummaryText(*report), log);
}

int Main(int argc, char** argv) {
  os::OccupyStandardFiles();
  // A file size limit is an error like a full disk, not a death that leaves things behind.
  std::signal(SIGXFSZ, SIG_IGN);
  const std::variant<Options, Leave> parsed = ParseOptions(argc, argv);
  if (const Leave* leave = std::get_if<Leave>(&parsed)) {
    std::FILE* out = leave->exit_code == 0 ? stdout : stderr;
    std::fwrite(leave->text.data(), 1, leave->text.size(), out);
    // Whoever asked for JSON gets some, also when nothing else could be understood.
    const bool json = std::any_of(argv, argv + argc,
                                  [](const char* a) { return std::string_view(a) == "--json"; });
    if (leave->exit_code != 0 && json) {
      const std::string text = FailureJson(InvalidArgumentError(leave->error)) + "\n";
      std::fwrite(text.data(), 1, text.size(), stdout);
    }
    return leave->exit_code;
  }
  return Run(std::get<Options>(parsed));
}

}  // namespace
}  // namespace daxfs::imagebuilder

int main(int argc, char** argv) {
  try {
    return daxfs::imagebuilder::Main(argc, argv);
  } catch (const std::exception& error) {  // a library's: ours throws nothing
    std::fprintf(stderr, "daxfs-build: %s\n", error.what());
    return 1;
  }
}
