// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/live.hpp"

#include <filesystem>
#include <system_error>
#include <utility>

namespace daxfs::snapshotter {
namespace {

std::string PortOf(const std::string& address) { return address.substr(address.rfind(':') + 1); }

}  // namespace

// OverlayFS keeps no index of the layers below: containers share them.
std::vector<std::string> OverlayOptions(const Config& config) {
  std::vector<std::string> options = config.overlay_options;
  std::error_code error;
  if (std::filesystem::exists("/sys/module/overlay/parameters/index", error)) {
    options.insert(options.begin(), "index=off");
  }
  return options;
}

Live::Live(const Config& config, Snapshotter& snapshotter, Metrics& metrics, Sources sources,
           base::Logger& log)
    : config_(config),
      snapshotter_(snapshotter),
      metrics_(metrics),
      sources_(std::move(sources)),
      log_(log) {
  Serve(config.metrics);
}

void Live::Serve(const std::string& address) {
  if (address.empty()) {
    server_.reset();
    config_.metrics.clear();
    return;
  }
  if (PortOf(address) == PortOf(config_.metrics)) server_.reset();  // the next one wants it
  Result<std::unique_ptr<MetricsServer>> started =
      MetricsServer::Start(address, metrics_, sources_);
  if (!started.ok()) {
    if (!server_) config_.metrics.clear();  // tried again by the next reload
    log_.Warning(server_ ? "metrics are served where they were" : "no metrics are served",
                 {{"err", started.status().message()}});
    return;
  }
  server_ = *std::move(started);
  config_.metrics = address;
  log_.Info("serving metrics", {{"address", address}, {"port", server_->port()}});
}

void Live::Reload(const std::variant<CommandLine, Leave>& read) {
  if (const Leave* wrong = std::get_if<Leave>(&read)) {
    std::string why = wrong->text;
    while (why.ends_with('\n')) why.pop_back();
    log_.Warning("not reloaded, all stays as it was", {{"err", why}});
    return;
  }
  const Config& wanted = std::get<CommandLine>(read).config;
  for (const std::string& key : ChangedForRestart(config_, wanted)) {
    log_.Warning("this change counts after: systemctl restart daxfs-snapshotter", {{"key", key}});
  }
  log_.Info("reloaded");
  log_.SetLevel(wanted.log_level);
  snapshotter_.SetOverlayOptions(OverlayOptions(wanted));
  if (wanted.metrics != config_.metrics) Serve(wanted.metrics);
}

}  // namespace daxfs::snapshotter
