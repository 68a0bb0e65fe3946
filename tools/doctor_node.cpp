// SPDX-License-Identifier: Apache-2.0
// What `daxfsctl doctor` makes of the module, this host and its pools.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>

#include "common/base/units.hpp"
#include "common/os/daxfs_control.hpp"
#include "common/os/process.hpp"
#include "common/os/system.hpp"
#include "common/pool/check.hpp"
#include "common/pool/config.hpp"
#include "tools/doctor.hpp"
#include "tools/open_pool.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

// Of a pool that is nearly full less than this part is free.
constexpr std::uint64_t kNearlyFull = 10;

std::string ModuleVersion() {
  for (const char* file : {"/sys/module/daxfs/version", "/sys/module/daxfs/srcversion"}) {
    const Result<std::string> text = os::ReadLine(file);
    if (text.ok()) return *text;
  }
  return {};
}

Finding CheckRoom(const PoolFacts& facts) {
  const std::string what =
      fmt::format("pool {}: {} of {} free", facts.name, base::HumanSize(facts.free_bytes),
                  base::HumanSize(facts.size_bytes));
  if (facts.free_bytes >= facts.size_bytes / kNearlyFull) {
    return {Verdict::kOk, "pool-room", what, ""};
  }
  return {Verdict::kWarn, "pool-room", what,
          facts.collectable_bytes > 0
              ? fmt::format("{} would go by: daxfsctl pool gc {}",
                            base::HumanSize(facts.collectable_bytes), facts.name)
          : facts.absent_bytes > 0
              ? fmt::format("remove images, or, by up to {}: daxfsctl pool resize {} SIZE",
                            base::HumanSize(facts.absent_bytes), facts.name)
              : std::string("remove images; it cannot grow (pool create --max-size)")};
}

Finding CheckDamage(const PoolFacts& facts) {
  if (facts.faults == 0) {
    return {Verdict::kOk, "pool-damage",
            fmt::format("pool {}: every word of it is in order", facts.name), ""};
  }
  return {Verdict::kFail, "pool-damage",
          fmt::format("pool {}: {}: {}", facts.name, Counted(facts.faults, "damaged place"),
                      facts.first_fault),
          "look: daxfsctl pool check " + facts.name};
}

// Whether another machine has this one's id: it would be this host that takes part, twice.
Finding CheckTwin(const PoolFacts& facts, const pool::HostIdentity& host) {
  for (const pool::HostView& other : facts.hosts) {
    if (other.id != host.id || other.name == host.name) continue;
    return {Verdict::kWarn, "host-unique",
            fmt::format("pool {}: a host \"{}\" has this host's id, last heard {}", facts.name,
                        other.name, Ago(other.heartbeat, os::WallClockSeconds())),
            "unless this host was renamed: give one of them another: cat "
            "/proc/sys/kernel/random/uuid > "
            "/etc/daxfs/host-id, or DAXFS_HOST_ID"};
  }
  return {Verdict::kOk, "host-unique",
          fmt::format("pool {}: no other host has this one's id", facts.name), ""};
}

// Of a pool that cannot be opened.
std::string AdviceForPool(const PoolFacts& facts) {
  if (facts.status.code() == StatusCode::kPermissionDenied) return "run this as root";
  if (facts.attachable) return fmt::format("systemctl enable --now daxfs-pool@{}", facts.name);
  if (facts.status.code() == StatusCode::kNotFound) {
    return fmt::format("look at {}, and make what is new: daxfsctl pool create {} --size SIZE",
                       pool::PoolsDirectory(), facts.name);
  }
  return fmt::format("look at {}/{}.yaml", pool::PoolsDirectory(), facts.name);
}

}  // namespace

ModuleFacts LookAtModule(const std::string& fuse_program) {
  ModuleFacts facts;
  facts.fuse_path = fuse_program;
  facts.loaded = os::HasDaxfsControl();
  if (facts.loaded) facts.version = ModuleVersion();
  facts.fuse_device = ::access("/dev/fuse", R_OK | W_OK) == 0;
  facts.fuse_program = os::IsProgram(fuse_program);
  return facts;
}

Finding CheckModule(const ModuleFacts& facts) {
  if (facts.loaded) {
    return {Verdict::kOk, "module",
            "the kernel module daxfs is loaded" +
                (facts.version.empty() ? "" : ", version " + facts.version),
            ""};
  }
  if (facts.fuse_device && facts.fuse_program) {
    return {Verdict::kWarn, "module",
            "the kernel module daxfs is not loaded: images are mounted by FUSE, a process each",
            "modprobe daxfs"};
  }
  return {Verdict::kFail, "module",
          std::string("no image can be mounted: the kernel module daxfs is not loaded, and ") +
              (facts.fuse_device ? facts.fuse_path + " is not there" : "/dev/fuse cannot be used"),
          facts.fuse_device ? "modprobe daxfs; or install daxfs-tools"
                            : "modprobe daxfs; or: modprobe fuse"};
}

Finding CheckHost(const Result<pool::HostIdentity>& host) {
  if (!host.ok()) {
    return {Verdict::kFail, "host-id", host.status().message(),
            "cat /proc/sys/kernel/random/uuid > /etc/daxfs/host-id"};
  }
  return {Verdict::kOk, "host-id", "this host's id is " + pool::UuidText(host->id), ""};
}

PoolFacts LookAtPool(const std::string& name) {
  PoolFacts facts;
  facts.name = name;
  const Result<std::unique_ptr<pool::Memory>> opened = OpenPool(name);
  facts.status = opened.status();
  if (!opened.ok()) {
    const Result<pool::PoolConfig> config = pool::ReadPoolConfig(name);
    facts.attachable = config.ok() && !config->ranges.empty() && !pool::IsAttached(name);
    return facts;
  }
  const pool::Memory& memory = **opened;
  facts.uuid = pool::UuidText(memory.uuid());
  facts.version = memory.info().version;
  for (std::uint32_t i = 0; i < memory.partition_count(); ++i) {
    const pool::Memory partition = memory.At(i);
    if (memory.partition_count() > 1) partition.ReadAnew();
    const pool::UsageView usage = pool::Usage(partition);
    facts.size_bytes += usage.chunks * std::uint64_t{DAXFS_CHUNK_SIZE};
    facts.free_bytes += usage.chunks_free * std::uint64_t{DAXFS_CHUNK_SIZE};
    facts.collectable_bytes += usage.collectable_bytes;
    facts.absent_bytes += usage.chunks_absent * std::uint64_t{DAXFS_CHUNK_SIZE};
    for (const pool::Finding& found : pool::Check(partition, nullptr)) {
      if (found.severity != pool::Severity::kDamage) continue;
      if (facts.faults++ == 0) facts.first_fault = found.what;
    }
  }
  facts.hosts = pool::ListAllHosts(memory);
  return facts;
}

Findings CheckPoolFacts(const PoolFacts& facts, const std::optional<pool::HostIdentity>& host) {
  if (!facts.status.ok()) {
    return {{Verdict::kFail, "pool",
             fmt::format("pool {} cannot be opened: {}", facts.name, facts.status.message()),
             AdviceForPool(facts)}};
  }
  Findings findings = {
      {Verdict::kOk, "pool",
       fmt::format("pool {} is {}, version {}", facts.name, facts.uuid, facts.version), ""}};
  findings.push_back(CheckRoom(facts));
  findings.push_back(CheckDamage(facts));
  if (host) findings.push_back(CheckTwin(facts, *host));
  return findings;
}

}  // namespace daxfs::tools
