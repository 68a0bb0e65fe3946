// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/base/log.hpp"
#include "snapshotter/command_line.hpp"
#include "snapshotter/metrics.hpp"
#include "snapshotter/snapshotter.hpp"

namespace daxfs::snapshotter {

// For every OverlayFS mount: what is configured, and what layers that containers share need.
std::vector<std::string> OverlayOptions(const Config& config);

// The part of the configuration that may change while the daemon runs: log level, options of
// OverlayFS, where metrics are served. One thread at a time.
class Live {
 public:
  // Serves metrics, if that is configured; where it cannot, the log says so. Borrows all three.
  Live(const Config& config, Snapshotter& snapshotter, Metrics& metrics, Sources sources,
       base::Logger& log);

  // What was read anew counts from now on. The log says which keys want a restart, and if it is
  // wrong, why all stays as it was.
  void Reload(const std::variant<CommandLine, Leave>& read);

 private:
  void Serve(const std::string& address);

  Config config_;  // `metrics`: where they are served, "" if nowhere
  Snapshotter& snapshotter_;
  Metrics& metrics_;
  const Sources sources_;
  base::Logger& log_;
  std::unique_ptr<MetricsServer> server_;
};

}  // namespace daxfs::snapshotter
