// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"

namespace daxfs::snapshotter {

// Read where nobody says another.
inline constexpr const char* kUsualConfig = "/etc/daxfs/snapshotter.yaml";

// What that file says; docs/snapshotter.md describes each key.
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

// Errors: by errno (kNotFound), and those of ParseConfig, with `path`.
Result<Config> ReadConfig(const std::string& path);

// What is wrong with the path that is the value of `key`; "" if nothing is.
std::string WrongPath(const std::string& key, const std::string& path);

}  // namespace daxfs::snapshotter
