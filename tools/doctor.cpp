// SPDX-License-Identifier: Apache-2.0
#include "tools/doctor.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/os/file_io.hpp"
#include "common/pool/config.hpp"
#include "snapshotter/config/config.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

using Json = nlohmann::ordered_json;

const char* NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      break;
  }
  return "FAIL";
}

const char* ColorOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "\x1b[32m";
    case Verdict::kWarn:
      return "\x1b[33m";
    case Verdict::kFail:
      break;
  }
  return "\x1b[31m";
}

// Says findings as they come, and remembers how bad it is.
class Report {
 public:
  Report(bool json, Context& context)
      : json_(json), color_(!json && os::ShowsColor(STDOUT_FILENO)), context_(context) {}

  Status Add(const Finding& finding) {
    failed_ += finding.verdict == Verdict::kFail ? 1U : 0U;
    warned_ += finding.verdict == Verdict::kWarn ? 1U : 0U;
    if (json_) {
      return context_.out(JsonLine({{"verdict", NameOf(finding.verdict)},
                                    {"check", finding.check},
                                    {"what", finding.what},
                                    {"advice", finding.advice}}));
    }
    const std::string word = fmt::format("{:<4}", NameOf(finding.verdict));
    RETURN_IF_ERROR(context_.out(color_ ? ColorOf(finding.verdict) + word + "\x1b[0m" : word));
    // Much of it was said by others: daemons, containerd, files.
    const std::string advice = PrintableName(finding.advice);
    return context_.out(fmt::format("  {}{}\n", PrintableName(finding.what),
                                    advice.empty() ? "" : fmt::format("  ({})", advice)));
  }
  Status AddAll(const Findings& findings) {
    for (const Finding& finding : findings) RETURN_IF_ERROR(Add(finding));
    return Status::Ok();
  }
  Status End() {
    context_.differ = failed_ > 0;
    if (!json_) return Status::Ok();
    return context_.out(JsonLine({{"ok", failed_ == 0}, {"failed", failed_}, {"warned", warned_}}));
  }

 private:
  const bool json_;
  const bool color_;
  Context& context_;
  std::uint32_t failed_ = 0;
  std::uint32_t warned_ = 0;
};

// This host and its pools; those of pools.d, and the daemon's if it is none of them.
Result<std::optional<PoolFacts>> DiagnosePools(const std::string& of_daemon, Report& report) {
  const Result<pool::HostIdentity> host = pool::ThisHost();
  RETURN_IF_ERROR(report.Add(CheckHost(host)));
  std::vector<std::string> names = pool::KnownPools();
  if (!of_daemon.empty() && std::find(names.begin(), names.end(), of_daemon) == names.end()) {
    names.push_back(of_daemon);
  }
  if (names.empty()) {
    RETURN_IF_ERROR(report.Add(
        {Verdict::kWarn, "pool", "this host knows no pool: layers are directories of its own",
         "write " + pool::PoolsDirectory() + "/NAME.yaml; daxfsctl pool create NAME --size SIZE"}));
  }
  std::optional<PoolFacts> daemons;
  for (const std::string& name : names) {
    PoolFacts facts = LookAtPool(name);
    RETURN_IF_ERROR(
        report.AddAll(CheckPoolFacts(facts, host.ok() ? std::optional(*host) : std::nullopt)));
    if (name == of_daemon) daemons = std::move(facts);
  }
  return daemons;
}

Status DiagnoseContainerd(const DoctorCommand& command, const std::string& address,
                          Report& report) {
  const Result<ContainerdFacts> containerd = AskContainerd(address);
  const Result<ContainerdConfig> config = ReadContainerdConfig(command.containerd_config, address);
  RETURN_IF_ERROR(report.AddAll(CheckContainerd(containerd, config)));
  const bool for_pods = config.ok() && config->pods_snapshotter == "daxfs";
  if (!containerd.ok() || !for_pods || config->sandbox_image.empty()) return Status::Ok();
  return report.Add(
      CheckSandbox(config->sandbox_image, AskSandbox(address, config->sandbox_image, "daxfs")));
}

}  // namespace

Status Diagnose(const DoctorCommand& command, Context& context) {
  Report report(command.json, context);
  const Result<snapshotter::Config> read = snapshotter::ReadConfig(command.config);
  // What a daemon that runs says is what counts.
  const snapshotter::Config config = read.ok() ? *read : snapshotter::Config();
  const std::string socket = command.address.empty() ? config.address : command.address;
  const Result<DaemonStatus> daemon = AskStatus(socket);
  ModuleFacts module = LookAtModule(config.fuse_program);
  // It may have been told of another program than the usual one.
  module.fuse_program |= daemon.ok() && daemon->backend == "fuse";
  RETURN_IF_ERROR(report.Add(CheckModule(module)));
  ASSIGN_OR_RETURN(const std::optional<PoolFacts> pool,
                   DiagnosePools(daemon.ok() ? daemon->pool : config.pool, report));
  RETURN_IF_ERROR(report.Add(CheckConfig(command.config, read.status(), command.config_given)));
  RETURN_IF_ERROR(report.Add(CheckDaemon(daemon, command.version)));
  if (daemon.ok()) RETURN_IF_ERROR(report.Add(CheckDaemonPool(*daemon, pool, module)));
  const std::string root = daemon.ok() ? daemon->root : config.root;
  RETURN_IF_ERROR(report.Add(CheckRoot(root, os::ProbeUpper(root))));
  if (daemon.ok()) RETURN_IF_ERROR(report.Add(CheckImages(AskSnapshots(socket))));
  const std::string said = daemon.ok() ? daemon->containerd : "";
  const std::string address = !command.containerd.empty() ? command.containerd
                              : !said.empty()             ? said
                                                          : config.containerd;
  RETURN_IF_ERROR(DiagnoseContainerd(command, address, report));
  return report.End();
}

}  // namespace daxfs::tools
