// SPDX-License-Identifier: Apache-2.0
#include "common/pool/host.hpp"

#include <algorithm>
#include <cstring>

#include "common/os/system.hpp"

namespace daxfs::pool {
namespace {

constexpr const char* kDmiUuid = "/sys/class/dmi/id/product_uuid";
constexpr const char* kHostIdFile = "/etc/daxfs/host-id";

// Firmware that knows no UUID says all zeros or all ones.
bool IsReal(const Uuid& id) {
  bool zeros = true;
  bool ones = true;
  for (const std::byte b : id) {
    zeros = zeros && b == std::byte{0};
    ones = ones && b == std::byte{0xff};
  }
  return !zeros && !ones;
}

Result<Uuid> HostId() {
  const std::string given = os::Environment("DAXFS_HOST_ID");
  if (!given.empty()) return ParseUuid(given).WithContext("DAXFS_HOST_ID");
  if (const Result<std::string> text = os::ReadLine(kDmiUuid); text.ok()) {
    const Result<Uuid> id = ParseUuid(*text);
    if (id.ok() && IsReal(*id)) return *id;
  }
  const Result<std::string> text = os::ReadLine(kHostIdFile);
  if (text.ok()) return ParseUuid(*text).WithContext(kHostIdFile);
  return FailedPreconditionError(
      std::string("this host has no id that survives a boot: its firmware has no UUID (or only "
                  "root may read it); write one with: mkdir -p /etc/daxfs && cat "
                  "/proc/sys/kernel/random/uuid > ") +
      kHostIdFile);
}

}  // namespace

Result<HostIdentity> ThisHost() {
  HostIdentity host;
  ASSIGN_OR_RETURN(host.id, HostId());
  host.name = os::HostName();
  ASSIGN_OR_RETURN(const std::string boot, os::BootId());
  const Digest digest = Sha256(boot);
  std::memcpy(&host.boot, digest.data(), sizeof(host.boot));
  const std::string run_dir = os::Environment("DAXFS_RUN_DIR");
  host.run_dir = run_dir.empty() ? "/run/daxfs" : run_dir;
  return host;
}

std::uint64_t LockMark(const HostIdentity& host, const os::FileLock& lock) {
  const std::uint64_t number = lock.number();
  const std::uint64_t boot = std::max<std::uint64_t>(host.boot & 0xffffffffU, 1);
  return (boot << 32U) | ((number ^ (number >> 32U)) & 0xffffffffU);
}

}  // namespace daxfs::pool
