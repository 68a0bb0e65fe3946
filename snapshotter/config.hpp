// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"

namespace daxfs::snapshotter {

// What /etc/daxfs/snapshotter.yaml says; docs/snapshotter.md describes each key.
struct Config {
  std::string root = "/var/lib/daxfs/snapshotter";
  std::string address = "/run/daxfs/snapshotter.sock";
  std::string pool;              // as pool::ResolvePool reads it; "": layers are directories alone
  std::string backend = "auto";  // who mounts images: kernel, fuse, or whichever works
  std::string fuse_program = "/usr/bin/daxfs-fuse";
  std::string containerd = "/run/containerd/containerd.sock";
  std::string content = "/var/lib/containerd/io.containerd.content.v1.content";
  std::vector<std::string> overlay_options;
  std::string metrics;  // "127.0.0.1:9464", where Prometheus reads them; "": nowhere
  base::LogLevel log_level = base::LogLevel::kInfo;
};

// Keys whose values differ and count from the next start on alone.
std::vector<std::string> ChangedForRestart(const Config& now, const Config& wanted);

// Errors: kInvalidArgument with the line, also for keys nobody knows.
Result<Config> ParseConfig(const std::string& yaml);

struct CommandLine {
  Config config;
  std::string file;  // that was read; "" if there is none
  bool check_config = false;
  base::LogOptions log;  // its level is that of the configuration
};

// The command line asks for something else than to run: print `text` and leave.
struct Leave {
  int exit_code = 0;
  std::string text;  // for stdout if exit_code is 0, else for stderr
};

// Reads the file of --config, or the usual one if there is one; options win over it.
std::variant<CommandLine, Leave> ParseCommandLine(int argc, const char* const* argv);

}  // namespace daxfs::snapshotter
