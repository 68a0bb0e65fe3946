// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/obtain.hpp"
#include "common/rpc/observer.hpp"
#include "snapshotter/mounter.hpp"
#include "snapshotter/snapshotter.hpp"

namespace daxfs::snapshotter {

// What is looked at when somebody reads the metrics.
struct Sources {
  std::function<Result<std::vector<Sight>>()> snapshots;
  std::function<std::optional<pool::UsageView>()> pool;  // nothing without one
};

// What the daemon counts as long as it runs, and says to Prometheus where that is asked for.
// docs/snapshotter.md lists them. Thread safe.
class Metrics final : public rpc::CallObserver {
 public:
  explicit Metrics(const std::string& version);
  ~Metrics() override;

  void Ended(std::string_view method, std::string_view subject, const Status& status,
             std::chrono::nanoseconds took) override;
  // A layer that was asked for; `bytes` of its tar were read if it was built here.
  void Placed(pool::How how, std::uint64_t bytes);
  void Mounted(bool succeeded);
  // What nobody referred to any more went out of a full pool.
  void Freed(std::uint64_t objects, std::uint64_t bytes);

  // All of it as text, as it is served.
  std::string Text(const Sources& sources) const;

 private:
  friend class MetricsServer;
  struct Families;
  const std::unique_ptr<Families> families_;
};

// Counts what it mounts. Borrows the metrics.
std::unique_ptr<Mounter> CountMounts(std::unique_ptr<Mounter> mounter, Metrics& metrics);

// Serves http://ADDRESS:PORT/metrics as long as it lives.
class MetricsServer {
 public:
  // Port 0: any that is free. Borrows the metrics. Errors: kInvalidArgument for an address that
  // cannot be served.
  static Result<std::unique_ptr<MetricsServer>> Start(const std::string& address,
                                                      const Metrics& metrics, Sources sources);
  ~MetricsServer();

  int port() const;

 private:
  struct Exposed;
  explicit MetricsServer(std::unique_ptr<Exposed> exposed);
  const std::unique_ptr<Exposed> exposed_;
};

}  // namespace daxfs::snapshotter
