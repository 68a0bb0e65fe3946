// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/filesystem.hpp"
#include "common/pool/host.hpp"
#include "common/pool/inspect.hpp"
#include "tools/containerd_client.hpp"
#include "tools/containerd_config.hpp"
#include "tools/context.hpp"
#include "tools/snapshot_client.hpp"

namespace daxfs::tools {

// What `daxfsctl doctor` looks at, and what it makes of it: each check is a function of facts.

enum class Verdict { kOk, kWarn, kFail };

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string check;   // which one, for programs
  std::string what;    // what was seen
  std::string advice;  // what to do; "" if nothing
};
using Findings = std::vector<Finding>;

struct ModuleFacts {
  bool loaded = false;
  std::string version;  // if it says one
  bool fuse_device = false;
  bool fuse_program = false;                      // whether it is there
  std::string fuse_path = "/usr/bin/daxfs-fuse";  // where it was looked for
};
// `fuse_program`: what would mount without the module.
ModuleFacts LookAtModule(const std::string& fuse_program);
Finding CheckModule(const ModuleFacts& facts);

Finding CheckHost(const Result<pool::HostIdentity>& host);

struct PoolFacts {
  std::string name;         // as it is typed
  Status status;            // why nothing of the rest is known
  bool attachable = false;  // the kernel module can show it, and does not
  std::string uuid;
  std::uint32_t version = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t collectable_bytes = 0;
  std::uint64_t absent_bytes = 0;  // it may grow by that
  std::uint32_t faults = 0;        // damage
  std::string first_fault;
  std::vector<pool::HostView> hosts;
};
PoolFacts LookAtPool(const std::string& name);
// `host`: who this one is, "" while that is not known.
Findings CheckPoolFacts(const PoolFacts& facts, const std::optional<pool::HostIdentity>& host);

// `config`: what was read of `path`.
// `wanted`: somebody has named the file.
Finding CheckConfig(const std::string& path, const Status& config, bool wanted = false);
// `version`: of this program.
Finding CheckDaemon(const Result<DaemonStatus>& daemon, const std::string& version);
// `pool`: what its pool is now, if it has one.
Finding CheckDaemonPool(const DaemonStatus& daemon, const std::optional<PoolFacts>& pool,
                        const ModuleFacts& module);
Finding CheckRoot(const std::string& root, const Result<os::UpperFacts>& facts);
Finding CheckImages(const Result<std::vector<SnapshotView>>& snapshots);

// What daxfs needs of containerd depends on its version.
struct ContainerdVersion {
  int major = 0;
  int minor = 0;
  int patch = 0;
  bool operator==(const ContainerdVersion&) const = default;
  auto operator<=>(const ContainerdVersion&) const = default;
};
// Of "v1.7.13", "1.6.20~ds1", "v2.0.0-rc.1".
std::optional<ContainerdVersion> ParseVersion(const std::string& text);

// `config`: what it is configured with.
Findings CheckContainerd(const Result<ContainerdFacts>& containerd,
                         const Result<ContainerdConfig>& config);
// `image`: what containerd knows of the pods' sandbox image `name`.
Finding CheckSandbox(const std::string& name, const Result<SandboxFacts>& image);

struct DoctorCommand {
  std::string config = "/etc/daxfs/snapshotter.yaml";
  bool config_given = false;  // by who asks
  std::string address;        // of the daemon; "": as its configuration says
  std::string containerd;     // its socket; "": as the daemon says, or its configuration
  std::string containerd_config = "/etc/containerd/config.toml";
  std::string version;  // of this program
  bool json = false;
};

// Looks at everything, and says one line for each. Sets context.differ if anything fails.
Status Diagnose(const DoctorCommand& command, Context& context);

}  // namespace daxfs::tools
