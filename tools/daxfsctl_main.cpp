// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "common/base/log.hpp"
#include "common/os/file_io.hpp"
#include "tools/image_commands.hpp"

namespace daxfs::tools {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

using Command = Status (*)(const ImageCommand&, const Output&);

struct CommandLine {
  ImageCommand arguments;
  std::string level = "full";
  std::string log_level = "info";
  std::string log_format = "text";
  Command command = nullptr;
};

Status WriteOut(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
    return Status::FromErrno(errno, "standard output");
  }
  return Status::Ok();
}

CLI::App* AddCommand(CLI::App& parent, CommandLine& line, const char* name, const char* help,
                     Command command, bool takes_path, bool path_required) {
  CLI::App* app = parent.add_subcommand(name, help);
  app->add_option("IMAGE", line.arguments.image, "image file")->required();
  if (takes_path) {
    CLI::Option* path = app->add_option("PATH", line.arguments.path, "path inside the image");
    if (path_required) path->required();
  }
  app->callback([&line, command] { line.command = command; });
  return app;
}

void AddJson(CLI::App* app, CommandLine& line) {
  app->add_flag("--json", line.arguments.json, "JSON, one object a line");
}

void Declare(CLI::App& app, CommandLine& line) {
  app.require_subcommand(1);
  app.set_version_flag("--version", "daxfsctl " DAXFS_VERSION_TEXT);
  app.add_option("--log-level", line.log_level, "debug, info, warning or error");
  app.add_option("--log-format", line.log_format, "text or json");
  app.footer("Exit status: 0 done, 1 failed, 2 wrong usage.");
  CLI::App* image = app.add_subcommand("image", "look at an image");
  image->require_subcommand(1);
  AddJson(AddCommand(*image, line, "info", "superblock and sections", ShowInfo, false, false),
          line);
  CLI::App* ls = AddCommand(*image, line, "ls", "list a directory", ListDirectory, true, false);
  ls->add_flag("-R,--recursive", line.arguments.recursive, "also what is below");
  AddJson(ls, line);
  AddJson(AddCommand(*image, line, "stat", "everything about one path", ShowStat, true, true),
          line);
  AddCommand(*image, line, "cat", "write a file's bytes to standard output", CopyContent, true,
             true);
  CLI::App* verify =
      AddCommand(*image, line, "verify", "check digests and rules", VerifyImage, false, false);
  verify->add_option("--level", line.level, "none, meta or full (default: full)");
  AddJson(verify, line);
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
  return Status::Ok();
}

int UsageError(std::string_view message) {
  fmt::print(stderr, "daxfsctl: {}\nTry: daxfsctl --help, daxfsctl image COMMAND --help\n",
             message);
  return kUsage;
}

int Run(const CommandLine& line, base::LogOptions options) {
  base::StderrSink sink;
  options.color = os::IsTerminal(STDERR_FILENO);
  base::Logger log(sink, options);
  Status status = line.command(line.arguments, WriteOut);
  if (status.ok() && std::fflush(stdout) != 0) status = Status::FromErrno(errno, "standard output");
  if (status.ok()) return 0;
  // Whoever closed the pipe has seen enough.
  if (status.error_number() == EPIPE) return 0;
  log.Error("daxfsctl failed",
            {{"code", StatusCodeName(status.code())}, {"err", status.message()}});
  return kFailed;
}

int Main(int argc, char** argv) {
  CLI::App app("Looks at DAXFS images.", "daxfsctl");
  CommandLine line;
  Declare(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const auto code = static_cast<CLI::ExitCodes>(error.get_exit_code());
    if (code == CLI::ExitCodes::Success) return app.exit(error);  // --help, --version
    return UsageError(error.what());
  }
  base::LogOptions log;
  const Status status = CheckValues(&line, &log);
  if (!status.ok()) return UsageError(status.message());
  std::signal(SIGPIPE, SIG_IGN);
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
