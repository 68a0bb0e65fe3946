// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/command_line.hpp"

#include <CLI/CLI.hpp>
#include <sstream>
#include <utility>

namespace daxfs::snapshotter {
namespace {

constexpr int kUsage = 2;

}  // namespace

std::variant<CommandLine, Leave> ParseCommandLine(int argc, const char* const* argv) {
  CLI::App app(
      "Serves container images out of a DAXFS pool to containerd, which has it as a proxy "
      "snapshotter.",
      "daxfs-snapshotter");
  app.footer(
      "SIGHUP reads the configuration again, SIGTERM ends it in order.\n"
      "Exit status: 0 in order, 1 failed, 2 wrong usage or configuration.");
  CommandLine line;
  Config given;
  std::string file;
  std::string level = "info";
  std::string format = "text";
  app.set_version_flag("--version", std::string("daxfs-snapshotter ") + DAXFS_VERSION_TEXT);
  const CLI::Option* config =
      app.add_option("--config", file, "configuration file")->default_str(kUsualConfig);
  const CLI::Option* root = app.add_option("--root", given.root, "directory of snapshots");
  const CLI::Option* address = app.add_option("--address", given.address, "socket to serve on");
  const CLI::Option* pool =
      app.add_option("--pool", given.pool, "pool of the images: a name or paths");
  app.add_flag("--check-config", line.check_config, "read the configuration, say so, and leave");
  const CLI::Option* wants_level =
      app.add_option("--log-level", level, "debug, info, warning or error")->capture_default_str();
  app.add_option("--log-format", format, "text or json")->capture_default_str();
  const auto refuse = [](const std::string& what) {
    return Leave{kUsage, "daxfs-snapshotter: " + what + "\n"};
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    if (app.exit(error, out, err) == 0) return Leave{0, out.str()};
    return refuse(error.what() + std::string("\nTry: daxfs-snapshotter --help"));
  }
  const Result<base::LogLevel> log_level = base::ParseLogLevel(level);
  if (!log_level.ok()) return refuse("--log-level: " + log_level.status().message());
  const Result<base::LogFormat> log_format = base::ParseLogFormat(format);
  if (!log_format.ok()) return refuse("--log-format: " + log_format.status().message());
  line.log.format = *log_format;
  Result<Config> read = ReadConfig(config->empty() ? kUsualConfig : file);
  if (read.ok()) {
    line.config = *std::move(read);
    line.file = config->empty() ? kUsualConfig : file;
  } else if (!config->empty() || read.status().code() != StatusCode::kNotFound) {
    return refuse(read.status().message());
  }
  if (!root->empty()) line.config.root = given.root;
  if (!address->empty()) line.config.address = given.address;
  for (const auto& [key, path] :
       {std::pair("root", line.config.root), std::pair("address", line.config.address)}) {
    const std::string wrong = WrongPath(key, path);
    if (!wrong.empty()) return refuse("--" + wrong);
  }
  if (!pool->empty()) line.config.pool = given.pool;
  if (!wants_level->empty()) line.config.log_level = *log_level;
  line.log.level = line.config.log_level;
  return line;
}

}  // namespace daxfs::snapshotter
