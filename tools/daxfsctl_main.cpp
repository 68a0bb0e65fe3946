// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/log.hpp"
#include "common/os/clock.hpp"
#include "common/os/file_io.hpp"
#include "common/os/progress.hpp"
#include "common/os/signal_watcher.hpp"
#include "common/os/system.hpp"
#include "tools/doctor.hpp"
#include "tools/image_commands.hpp"
#include "tools/kernel_status.hpp"
#include "tools/pool_cli.hpp"
#include "tools/snapshot_cli.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

using Command = Status (*)(const ImageCommand&, Context&);

struct CommandLine {
  ImageCommand arguments;
  std::string level = "full";
  std::string log_level = "info";
  std::string log_format = "text";
  Command command = nullptr;
  PoolLine pool;
  SnapshotLine snapshot;
  DoctorCommand doctor;
  bool wants_doctor = false;
  KernelCommand kernel;
  bool is_long = false;  // shows how far it is, cleans up behind itself when interrupted
};

Status WriteOut(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
    return Status::FromErrno(errno, "standard output");
  }
  return Status::Ok();
}

Status Flush() {
  return std::fflush(stdout) == 0 ? Status::Ok() : Status::FromErrno(errno, "standard output");
}

CLI::App* AddCommand(CLI::App& parent, CommandLine& line, const char* name, const char* help,
                     Command command) {
  CLI::App* app = parent.add_subcommand(name, help);
  app->add_option("IMAGE", line.arguments.image,
                  "image file, or pool:POOL:NAME, or with its digest")
      ->required();
  app->callback([&line, command] { line.command = command; });
  return app;
}

void AddJson(CLI::App* app, CommandLine& line) {
  app->add_flag("--json", line.arguments.json, "JSON, one object a line");
}

void AddPaths(CLI::App* app, CommandLine& line) {
  app->add_option("PATH", line.arguments.paths, "paths inside the image")->required();
}

void MakeLong(CLI::App* app, CommandLine& line) {
  app->parse_complete_callback([&line] { line.is_long = true; });
}

void DeclareReaders(CLI::App& image, CommandLine& line) {
  AddJson(AddCommand(image, line, "info", "superblock and sections", ShowInfo), line);
  CLI::App* ls = AddCommand(image, line, "ls", "list a directory", ListDirectory);
  ls->add_option("PATH", line.arguments.path, "path inside the image");
  ls->add_flag("-R,--recursive", line.arguments.recursive, "also what is below");
  AddJson(ls, line);
  CLI::App* stat = AddCommand(image, line, "stat", "everything about paths", ShowStat);
  AddPaths(stat, line);
  AddJson(stat, line);
  AddPaths(AddCommand(image, line, "cat", "write files' bytes to standard output", CopyContent),
           line);
  CLI::App* verify = AddCommand(image, line, "verify", "check digests and rules", VerifyImage);
  verify->add_option("--level", line.level, "none, meta or full (default: full)");
  AddJson(verify, line);
  MakeLong(verify, line);
}

void DeclareWholeImage(CLI::App& image, CommandLine& line) {
  CLI::App* dump = AddCommand(image, line, "dump", "the image as text", DumpImage);
  dump->add_option("-o,--output", line.arguments.output, "file to make (default: standard output)");
  MakeLong(dump, line);
  CLI::App* diff = AddCommand(image, line, "diff", "what two images differ in", DiffImage);
  diff->add_option("OTHER", line.arguments.other, "the image to compare with")->required();
  diff->add_flag("--layout", line.arguments.layout, "also options, root and where data lies");
  AddJson(diff, line);
  MakeLong(diff, line);
  CLI::App* extract = AddCommand(image, line, "extract", "make files of an image", ExtractImage);
  extract->add_option("-o,--output", line.arguments.output, "dir:PATH, tar:FILE or tar:-")
      ->required();
  extract->add_flag("--skip-sockets", line.arguments.skip_sockets, "leave them out of a tar");
  MakeLong(extract, line);
}

void DeclareDoctor(CLI::App& app, CommandLine& line) {
  DoctorCommand& arguments = line.doctor;
  arguments.version = DAXFS_VERSION_TEXT;
  CLI::App* doctor = app.add_subcommand("doctor", "look at this node, and say what to type");
  const CLI::Option* config =
      doctor->add_option("--config", arguments.config, "configuration of daxfs-snapshotter")
          ->capture_default_str();
  doctor->add_option("--address", arguments.address,
                     "socket of daxfs-snapshotter (default: as its configuration says)");
  doctor->add_option("--containerd", arguments.containerd,
                     "socket of containerd (default: as daxfs-snapshotter says)");
  doctor->add_option("--containerd-config", arguments.containerd_config)->capture_default_str();
  doctor->add_flag("--json", arguments.json, "JSON, one object a line");
  doctor->callback([&line, config] {
    line.wants_doctor = true;
    line.doctor.config_given = !config->empty();
  });
}

void DeclareKernel(CLI::App& app, CommandLine& line) {
  CLI::App* kernel = app.add_subcommand("kernel", "what the kernel module does");
  kernel->require_subcommand(1);
  CLI::App* status = kernel->add_subcommand("status", "the memory it holds, and its counters");
  status->add_flag("--json", line.kernel.json, "one object of JSON");
  status->callback([&line] { line.kernel.wanted = true; });
}

void Declare(CLI::App& app, CommandLine& line) {
  app.require_subcommand(1);
  app.set_version_flag("--version", "daxfsctl " DAXFS_VERSION_TEXT);
  app.add_option("--log-level", line.log_level, "debug, info, warning or error");
  app.add_option("--log-format", line.log_format, "text or json");
  app.footer(
      "Exit status: 0 done, 1 failed (diff: or they differ; check, doctor: or something is wrong), "
      "2 wrong usage.");
  CLI::App* image = app.add_subcommand("image", "look at an image");
  image->require_subcommand(1);
  DeclareReaders(*image, line);
  DeclareWholeImage(*image, line);
  DeclarePool(app, line.pool);
  DeclareSnapshot(app, line.snapshot);
  DeclareKernel(app, line);
  DeclareDoctor(app, line);
}

Status CheckValues(CommandLine* line, base::LogOptions* log) {
  ASSIGN_OR_RETURN(log->level, base::ParseLogLevel(line->log_level));
  ASSIGN_OR_RETURN(log->format, base::ParseLogFormat(line->log_format));
  if (line->level == "none") {
    line->arguments.level = format::VerifyLevel::kNone;
  } else if (line->level == "meta") {
    line->arguments.level = format::VerifyLevel::kMeta;
  } else if (line->level != "full") {
    return InvalidArgumentError("--level \"" + line->level + "\": use none, meta or full");
  }
  return CheckPoolLine(&line->pool);
}

Status CheckOutput(const CommandLine& line) {
  const std::string_view output = line.arguments.output;
  if (line.command != ExtractImage || output.starts_with("tar:") || output.starts_with("dir:")) {
    return output.size() == 4 && line.command == ExtractImage
               ? InvalidArgumentError("-o names no path")
               : Status::Ok();
  }
  return InvalidArgumentError("-o \"" + std::string(output) + "\": is it dir:" +
                              std::string(output) + " or tar:" + std::string(output) + "?");
}

// What a program that asked for JSON gets instead of it.
void TellInJson(const Status& status) {
  if (!WriteOut(
           JsonLine({{"error",
                      {{"code", StatusCodeName(status.code())}, {"message", status.message()}}}}))
           .ok()) {
    return;  // standard error says it too
  }
  std::fflush(stdout);
}

int UsageError(std::string_view message, bool json) {
  if (json) TellInJson(InvalidArgumentError(std::string(message)));
  fmt::print(
      stderr,
      "daxfsctl: {}\nTry: daxfsctl --help, daxfsctl image|pool|snapshot|kernel COMMAND --help\n",
      message);
  return kUsage;
}

int Finish(const Status& status, bool differ, base::Logger& log) {
  if (status.ok()) return differ ? kFailed : 0;
  // Whoever closed the pipe has seen enough.
  if (status.error_number() == EPIPE) return 0;
  log.Failure("daxfsctl", status);
  return kFailed;
}

Status Perform(const CommandLine& line, Context& context) {
  if (line.pool.command != nullptr) return line.pool.command(line.pool.arguments, context);
  if (line.snapshot.command != nullptr) {
    return line.snapshot.command(line.snapshot.arguments, context);
  }
  if (line.kernel.wanted) return ShowKernel(line.kernel, context);
  if (line.wants_doctor) return Diagnose(line.doctor, context);
  return line.command(line.arguments, context);
}

bool TellsErrorsInJson(const CommandLine& line) {
  return line.pool.arguments.json || line.snapshot.arguments.json || line.kernel.json ||
         line.doctor.json;
}

int Run(const CommandLine& line, base::LogOptions options) {
  base::StderrSink sink;
  const bool is_long = line.is_long || line.pool.is_long;
  const bool terminal = os::IsTerminal(STDERR_FILENO);
  options.color = os::ShowsColor(STDERR_FILENO);
  base::Logger log(sink, options);
  std::unique_ptr<os::SignalWatcher> signals;
  if (is_long) {
    Result<std::unique_ptr<os::SignalWatcher>> started = os::SignalWatcher::Start();
    if (!started.ok()) return Finish(started.status(), false, log);
    signals = *std::move(started);
  }
  const std::atomic<bool> never{false};
  os::TerminalBar bar;
  const os::SteadyClock clock;
  // A bar among what the command itself prints helps nobody.
  const std::string& output = line.arguments.output;
  const bool prints = line.command != VerifyImage && (output == "-" || output == "tar:-");
  const bool draws = terminal && options.format == base::LogFormat::kText &&
                     !(prints && os::IsTerminal(STDOUT_FILENO));
  const bool quiet = !is_long || options.level > base::LogLevel::kInfo;
  os::Progress progress(log, bar, clock, signals != nullptr ? signals->interrupted() : never,
                        {draws, quiet});
  Context context{WriteOut, progress, log};
  context.flush = [] { return Flush(); };
  Status status = Perform(line, context);
  if (is_long && !status.ok()) progress.End();
  if (status.ok()) status = Flush();
  if (!status.ok() && TellsErrorsInJson(line) && status.error_number() != EPIPE) {
    TellInJson(status);
  }
  return Finish(status, context.differ, log);
}

// The library says "a subcommand is required", also to somebody who mistyped one.
std::optional<std::string> UnknownCommand(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc && !at->get_subcommands({}).empty(); ++i) {
    const std::string word = argv[i];
    if (word.starts_with("-")) continue;
    std::string known;
    const CLI::App* next = nullptr;
    for (const CLI::App* command : at->get_subcommands({})) {
      if (command->get_name() == word) next = command;
      known += (known.empty() ? "" : ", ") + command->get_name();
    }
    if (next == nullptr) return fmt::format("unknown command \"{}\"; there is: {}", word, known);
    at = next;
  }
  return std::nullopt;
}

// The same of a line that may be wrong.
bool MayTellErrorsInJson(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  const auto has = [&](std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  return has("--json") && (has("pool") || has("snapshot") || has("kernel") || has("doctor"));
}

int Main(int argc, char** argv) {
  os::OccupyStandardFiles();
  CLI::App app("Looks at DAXFS images, and keeps pools of them.", "daxfsctl");
  CommandLine line;
  Declare(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const auto code = static_cast<CLI::ExitCodes>(error.get_exit_code());
    if (code == CLI::ExitCodes::Success) return app.exit(error);  // --help, --version
    return UsageError(UnknownCommand(app, argc, argv).value_or(error.what()),
                      MayTellErrorsInJson(argc, argv));
  }
  base::LogOptions log;
  Status status = CheckValues(&line, &log);
  if (status.ok()) status = CheckOutput(line);
  if (!status.ok()) return UsageError(status.message(), TellsErrorsInJson(line));
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // an error like a full disk
  return Run(line, log);
}

}  // namespace
}  // namespace daxfs::tools

int main(int argc, char** argv) {
  try {
    return daxfs::tools::Main(argc, argv);
  } catch (const std::exception& error) {  // a library's: ours throws nothing
    std::fprintf(stderr, "daxfsctl: %s\n", error.what());
    return 1;
  }
}
