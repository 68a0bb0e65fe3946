// SPDX-License-Identifier: Apache-2.0
// What `daxfsctl doctor` makes of containerd.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "tools/doctor.hpp"

namespace daxfs::tools {
namespace {

constexpr const char* kSnapshotter = "daxfs";
constexpr const char* kDiffer = "daxfs-diff";
// What they could not do before.
constexpr ContainerdVersion kFirstProxyDiffer{1, 7, 4};
constexpr ContainerdVersion kFirstTransfer{2, 0, 0};

// What to copy from, by version.
std::string Snippet(const ContainerdVersion& version) {
  const char* const file = version < ContainerdVersion{1, 7, 0}   ? "1.6"
                           : version < ContainerdVersion{2, 0, 0} ? "1.7"
                                                                  : "2.x";
  return fmt::format(
      "add what /usr/share/daxfs/containerd/{}.toml has to containerd's configuration; systemctl "
      "restart containerd",
      file);
}

const ContainerdFacts::Plugin* Find(const ContainerdFacts& facts, const std::string& type,
                                    const std::string& id) {
  const auto found = std::find_if(facts.plugins.begin(), facts.plugins.end(), [&](const auto& one) {
    return one.type == type && one.id == id;
  });
  return found == facts.plugins.end() ? nullptr : &*found;
}

Finding CheckPlugin(const ContainerdFacts& facts, const ContainerdVersion& version,
                    const std::string& check, const std::string& type, const std::string& id) {
  const ContainerdFacts::Plugin* const plugin = Find(facts, type, id);
  if (plugin == nullptr) {
    return {Verdict::kFail, check, fmt::format("containerd has no plugin {} {}", type, id),
            Snippet(version)};
  }
  if (!plugin->error.empty()) {
    return {Verdict::kFail, check,
            fmt::format("containerd's plugin {} {} does not work: {}", type, id, plugin->error),
            "systemctl start daxfs-snapshotter.socket; systemctl restart containerd"};
  }
  return {Verdict::kOk, check, fmt::format("containerd has the plugin {} {}", type, id), ""};
}

Finding CheckDiffer(const ContainerdFacts& facts, const ContainerdVersion& version) {
  if (version >= kFirstProxyDiffer) {
    return CheckPlugin(facts, version, "differ", "io.containerd.differ.v1", kDiffer);
  }
  return {Verdict::kWarn, "differ",
          "this containerd knows no proxy differs: layers become directories of this host, and "
          "only what other hosts have placed comes out of the pool",
          "containerd 1.7.4 or later"};
}

// Who unpacks what the transfer service has pulled: the first entry that names the snapshotter.
Finding CheckTransfer(const ContainerdConfig& config, const ContainerdVersion& version) {
  const auto entry = std::find_if(config.unpack.begin(), config.unpack.end(),
                                  [](const auto& one) { return one.snapshotter == kSnapshotter; });
  const std::string where = fmt::format(" ({})", config.source);
  if (entry == config.unpack.end()) {
    return {Verdict::kFail, "unpack",
            "no unpack_config of the transfer service names daxfs: `ctr image pull --snapshotter "
            "daxfs` fails with \"no unpack platforms defined\"" +
                where,
            Snippet(version)};
  }
  if (entry->differ != kDiffer) {
    return {Verdict::kFail, "unpack",
            fmt::format("unpack_config of daxfs has the differ \"{}\": layers become directories{}",
                        entry->differ, where),
            fmt::format("differ = \"{}\" there; systemctl restart containerd", kDiffer)};
  }
  return {Verdict::kOk, "unpack", "the transfer service unpacks into daxfs" + where, ""};
}

// Who unpacks everything else: CRI's own pulls, nerdctl before 2.0, moby.
Finding CheckDiffService(const ContainerdConfig& config, const ContainerdVersion& version) {
  const std::string where = fmt::format(" ({})", config.source);
  if (!config.differs.empty() && config.differs.front() == kDiffer) {
    return {Verdict::kOk, "diff-service", "the diff service asks daxfs-diff first" + where, ""};
  }
  return {Verdict::kFail, "diff-service",
          "the diff service does not ask daxfs-diff first: layers become directories" + where,
          Snippet(version)};
}

Finding CheckPods(const ContainerdConfig& config) {
  const std::string where = fmt::format(" ({})", config.source);
  if (config.pods_snapshotter == kSnapshotter) {
    return {Verdict::kOk, "pods", "pods' images are in daxfs" + where, ""};
  }
  return {
      Verdict::kOk, "pods",
      fmt::format("pods' images are in {}, not in daxfs{}",
                  config.pods_snapshotter.empty() ? "overlayfs" : config.pods_snapshotter, where),
      ""};
}

// One that is there and says nothing stops containerd at its next start.
Finding Unread(const Status& why) {
  return {why.code() == StatusCode::kNotFound ? Verdict::kWarn : Verdict::kFail, "configuration",
          "containerd's configuration cannot be read: " + why.message(),
          "mend it until `containerd config dump` prints it"};
}

Findings CheckConfig(const Result<ContainerdConfig>& config, const ContainerdVersion& version) {
  if (!config.ok()) return {Unread(config.status())};
  Findings findings;
  if (version >= kFirstTransfer) findings.push_back(CheckTransfer(*config, version));
  if (version >= kFirstProxyDiffer) findings.push_back(CheckDiffService(*config, version));
  findings.push_back(CheckPods(*config));
  return findings;
}

}  // namespace

std::optional<ContainerdVersion> ParseVersion(const std::string& text) {
  ContainerdVersion version;
  const char* const from = text.c_str() + (text.starts_with('v') ? 1 : 0);
  if (std::sscanf(from, "%d.%d.%d", &version.major, &version.minor, &version.patch) < 2) {
    return std::nullopt;
  }
  return version;
}

Findings CheckContainerd(const Result<ContainerdFacts>& containerd,
                         const Result<ContainerdConfig>& config) {
  if (!containerd.ok()) {
    Findings findings = {{Verdict::kFail, "containerd",
                          "containerd does not answer: " + containerd.status().message(),
                          containerd.status().code() == StatusCode::kPermissionDenied
                              ? "run this as root"
                              : "systemctl start containerd"}};
    const bool damaged = !config.ok() && config.status().code() != StatusCode::kNotFound;
    if (damaged) findings.push_back(Unread(config.status()));
    return findings;
  }
  const std::optional<ContainerdVersion> parsed = ParseVersion(containerd->version);
  if (!parsed) {
    return {
        {Verdict::kWarn, "containerd",
         fmt::format("containerd has the version \"{}\", which says nothing", containerd->version),
         ""}};
  }
  Findings findings;
  const std::string what = "containerd " + containerd->version + " answers";
  findings.push_back(*parsed < ContainerdVersion{1, 6, 0}
                         ? Finding{Verdict::kWarn, "containerd", what + ", older than was tried",
                                   "containerd 1.7.4 or later"}
                         : Finding{Verdict::kOk, "containerd", what, ""});
  findings.push_back(
      CheckPlugin(*containerd, *parsed, "plugin", "io.containerd.snapshotter.v1", kSnapshotter));
  findings.push_back(CheckDiffer(*containerd, *parsed));
  const Findings configured = CheckConfig(config, *parsed);
  findings.insert(findings.end(), configured.begin(), configured.end());
  return findings;
}

Finding CheckSandbox(const std::string& name, const Result<SandboxFacts>& image) {
  if (!image.ok()) {
    return {Verdict::kWarn, "sandbox",
            fmt::format("the pods' image {} could not be asked for: {}", name,
                        image.status().message()),
            "systemctl start containerd"};
  }
  const std::string pull = fmt::format("ctr -n k8s.io images pull --snapshotter daxfs {}", name);
  if (!image->present) {
    return {Verdict::kWarn, "sandbox",
            fmt::format("the pods' image {} is not there: the first pod waits for it", name), pull};
  }
  if (!image->unpacked) {
    return {Verdict::kFail, "sandbox",
            fmt::format("the pods' image {} is there, and not in daxfs: no pod starts", name),
            pull};
  }
  if (!image->pinned) {
    return {Verdict::kWarn, "sandbox",
            fmt::format("the pods' image {} is in daxfs, and the kubelet may remove it", name),
            fmt::format("ctr -n k8s.io images label {} io.cri-containerd.pinned=pinned", name)};
  }
  return {Verdict::kOk, "sandbox", fmt::format("the pods' image {} is in daxfs, pinned", name), ""};
}

}  // namespace daxfs::tools
