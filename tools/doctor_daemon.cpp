// SPDX-License-Identifier: Apache-2.0
// What `daxfsctl doctor` makes of daxfs-snapshotter.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tools/doctor.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

constexpr std::int64_t kNsPerSecond = 1000000000;
constexpr const char* kRestart = "systemctl restart daxfs-snapshotter";

std::size_t CountOf(const std::vector<SnapshotView>& snapshots, const std::string& state) {
  return static_cast<std::size_t>(
      std::count_if(snapshots.begin(), snapshots.end(),
                    [&](const SnapshotView& one) { return one.state == state; }));
}

}  // namespace

Finding CheckConfig(const std::string& path, const Status& config, bool wanted) {
  if (config.ok()) return {Verdict::kOk, "config", path + " can be read", ""};
  if (config.code() == StatusCode::kNotFound && !wanted) {
    return {Verdict::kOk, "config", path + " is not there: all is as without configuration", ""};
  }
  if (config.code() == StatusCode::kPermissionDenied) {
    return {Verdict::kWarn, "config", config.message(), "run this as root"};
  }
  return {Verdict::kFail, "config", config.message(),
          fmt::format("mend it, and look: daxfs-snapshotter --check-config --config {}", path)};
}

Finding CheckDaemon(const Result<DaemonStatus>& daemon, const std::string& version) {
  if (!daemon.ok()) {
    return {Verdict::kFail, "daemon", daemon.status().message(), AdviceFor(daemon.status())};
  }
  const std::string what =
      fmt::format("daxfs-snapshotter {} serves {} since {}Z", daemon->version, daemon->root,
                  TimeText(daemon->started_ns / kNsPerSecond, 0).substr(0, 19));
  if (daemon->version == version) return {Verdict::kOk, "daemon", what, ""};
  return {Verdict::kWarn, "daemon", what + ", and this daxfsctl is " + version, kRestart};
}

Finding CheckDaemonPool(const DaemonStatus& daemon, const std::optional<PoolFacts>& pool,
                        const ModuleFacts& module) {
  if (daemon.pool.empty()) {
    return {Verdict::kWarn, "daemon-pool",
            "daxfs-snapshotter has no pool: layers are directories of this host alone",
            std::string("write `pool: NAME` into /etc/daxfs/snapshotter.yaml; ") + kRestart};
  }
  if (daemon.pool_uuid.empty()) {
    return {Verdict::kFail, "daemon-pool",
            fmt::format("daxfs-snapshotter takes no part in pool {}: {}", daemon.pool,
                        daemon.why_no_pool),
            "look: daxfsctl pool info " + daemon.pool};
  }
  if (pool && pool->status.ok() && pool->uuid != daemon.pool_uuid) {
    return {Verdict::kFail, "daemon-pool",
            fmt::format("daxfs-snapshotter takes part in pool {}, and {} is {} by now",
                        daemon.pool_uuid, daemon.pool, pool->uuid),
            kRestart};
  }
  if (daemon.backend.empty()) {
    return {Verdict::kFail, "daemon-pool",
            fmt::format("daxfs-snapshotter takes part in pool {} and cannot mount its images",
                        daemon.pool),
            "journalctl -u daxfs-snapshotter"};
  }
  const std::string what = fmt::format("daxfs-snapshotter takes part in pool {} and mounts by {}",
                                       daemon.pool, daemon.backend);
  if (daemon.backend == "fuse" && module.loaded) {
    return {Verdict::kWarn, "daemon-pool", what + ", though the kernel module is loaded",
            fmt::format("systemctl enable --now daxfs-pool@{}; {}", daemon.pool, kRestart)};
  }
  return {Verdict::kOk, "daemon-pool", what, ""};
}

Finding CheckRoot(const std::string& root, const Result<os::UpperFacts>& facts) {
  if (!facts.ok()) {
    return {Verdict::kWarn, "root",
            fmt::format("{} could not be tried: {}", root, facts.status().message()),
            facts.status().code() == StatusCode::kPermissionDenied
                ? "run this as root"
                : "daxfs-snapshotter makes it: systemctl start daxfs-snapshotter"};
  }
  constexpr std::array<const char*, 3> kNever = {"overlay", "nfs", "nfs4"};
  const std::string what = fmt::format("{} is on {}", root, facts->type);
  if (std::find(kNever.begin(), kNever.end(), facts->type) != kNever.end()) {
    return {Verdict::kFail, "root", what + ", which OverlayFS cannot write to",
            "`root:` of /etc/daxfs/snapshotter.yaml wants a file system like ext4 or xfs"};
  }
  if (!facts->entry_types) {
    return {Verdict::kFail, "root", what + ", whose directories do not say types (d_type)",
            "make it anew: mkfs.xfs -n ftype=1"};
  }
  if (!facts->xattrs) {
    return {Verdict::kFail, "root", what + ", which keeps no trusted.* attributes",
            "`root:` of /etc/daxfs/snapshotter.yaml wants a file system like ext4 or xfs"};
  }
  return {Verdict::kOk, "root", what + ", which will do for OverlayFS", ""};
}

// Why the first that could not be placed again could not.
std::string WhyOf(const std::vector<SnapshotView>& snapshots) {
  for (const SnapshotView& one : snapshots) {
    if (!one.why.empty()) return PrintableName(one.why);
  }
  return {};
}

Finding CheckImages(const Result<std::vector<SnapshotView>>& snapshots) {
  if (!snapshots.ok()) {
    return {Verdict::kFail, "images", snapshots.status().message(), AdviceFor(snapshots.status())};
  }
  const std::size_t missing = CountOf(*snapshots, "missing");
  const std::size_t unknown = CountOf(*snapshots, "unknown");
  const std::size_t rebuilding = CountOf(*snapshots, "rebuilding");
  const std::size_t images = missing + unknown + rebuilding + CountOf(*snapshots, "placed");
  const std::string what =
      fmt::format("{}, {} of images", Counted(snapshots->size(), "snapshot"), images);
  if (missing > 0) {
    const std::string why = WhyOf(*snapshots);
    return {Verdict::kFail, "images",
            fmt::format("{}: {} of them are not in the pool any more{}", what, missing,
                        why.empty() ? "" : " and cannot be placed again: " + why),
            "daxfsctl snapshot ls --missing; what containerd no longer has: "
            "ctr -n NAMESPACE content fetch IMAGE"};
  }
  if (unknown > 0) {
    return {Verdict::kWarn, "images", fmt::format("{}: the pool cannot be asked for them", what),
            "journalctl -u daxfs-snapshotter"};
  }
  if (rebuilding > 0) {
    return {Verdict::kWarn, "images",
            fmt::format("{}: {} are being placed again", what, rebuilding),
            "wait: daxfsctl snapshot ls"};
  }
  return {Verdict::kOk, "images", what + ", all there", ""};
}

}  // namespace daxfs::tools
