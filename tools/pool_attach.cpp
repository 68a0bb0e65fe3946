// SPDX-License-Identifier: Apache-2.0
// Pools and the kernel module: attach, detach.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/base/units.hpp"
#include "common/os/dax_device.hpp"
#include "common/os/daxfs_control.hpp"
#include "common/pool/config.hpp"
#include "tools/pool_commands.hpp"

namespace daxfs::tools {
namespace {

Status Attach(const std::string& name, const os::PhysicalRange& range) {
  Status attached = os::AttachRange(name, range);
  if (attached.error_number() != EEXIST) return attached;
  return AlreadyExistsError("pool " + name + " is attached already, or another has that name");
}

// Takes the device from its driver for as long as the kernel module has it.
Status AttachDevice(const std::string& name, const std::string& path) {
  if (!os::HasDaxfsControl()) {
    return FailedPreconditionError("the kernel module is not loaded: modprobe daxfs");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<os::DaxDevice> device, os::DaxDevice::Open(path));
  const bool driven = device->driven();
  if (driven) RETURN_IF_ERROR(device->Unbind());
  Status attached = Attach(name, device->range());
  if (attached.ok() || !driven) return attached;
  const Status rebound = device->Rebind();
  return rebound.ok() ? attached : attached.WithContext(rebound.message() + "; before that");
}

Status AttachByConfig(const std::string& name) {
  ASSIGN_OR_RETURN(const pool::PoolConfig config, pool::ReadPoolConfig(name));
  if (config.phys) return Attach(name, {*config.phys, config.size_bytes});
  if (config.devices.size() > 1) {
    return UnimplementedError("pool " + name + " has several devices: the kernel module takes one");
  }
  return AttachDevice(name, config.devices.front());
}

}  // namespace

Status AttachPool(const PoolCommand& command, Context& context) {
  if (command.pool.find('/') != std::string::npos) {
    return InvalidArgumentError("attach wants a name, which becomes /dev/daxfs/NAME");
  }
  if (command.phys.empty() != (command.size_bytes == 0)) {
    return InvalidArgumentError("--phys and --size go together");
  }
  if (command.phys.empty()) {
    RETURN_IF_ERROR(AttachByConfig(command.pool));
  } else {
    ASSIGN_OR_RETURN(const std::uint64_t phys, base::ParseSize(command.phys).WithContext("--phys"));
    RETURN_IF_ERROR(Attach(command.pool, {phys, command.size_bytes}));
  }
  const std::string device = "/dev/daxfs/" + command.pool;
  return context.out(command.json
                         ? nlohmann::ordered_json{{"ok", true}, {"device", device}}.dump() + "\n"
                         : device + "\n");
}

Status DetachPool(const PoolCommand& command, Context& context) {
  RETURN_IF_ERROR(os::DetachRange(command.pool));
  return command.json ? context.out("{\"ok\":true}\n") : Status::Ok();
}

}  // namespace daxfs::tools
