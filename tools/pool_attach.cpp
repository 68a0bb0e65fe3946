// SPDX-License-Identifier: Apache-2.0
// Pools and the kernel module: attach, detach.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/units.hpp"
#include "common/os/dax_device.hpp"
#include "common/os/daxfs_control.hpp"
#include "common/pool/config.hpp"
#include "tools/pool_commands.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

// A range to attach, and the device it is to be taken from for as long as the kernel module has it.
struct Source {
  os::PhysicalRange range;
  std::unique_ptr<os::DaxDevice> device;  // or null: nobody drives the range
};

Result<std::vector<Source>> SourcesOf(const std::string& name) {
  ASSIGN_OR_RETURN(const pool::PoolConfig config, pool::ReadPoolConfig(name));
  std::vector<Source> sources;
  for (const os::PhysicalRange& range : config.ranges) sources.push_back({range, nullptr});
  for (const std::string& path : config.devices) {
    ASSIGN_OR_RETURN(std::unique_ptr<os::DaxDevice> device, os::DaxDevice::Open(path));
    const os::PhysicalRange range = device->range();
    sources.push_back({range, device->driven() ? std::move(device) : nullptr});
  }
  return sources;
}

Status Attach(const std::string& name, const Source& source) {
  if (source.device) RETURN_IF_ERROR(source.device->Unbind());
  Status attached = os::AttachRange(name, source.range);
  if (attached.error_number() == EEXIST) {
    attached =
        AlreadyExistsError("pool " + name + " is attached already, or another has that name");
  }
  if (attached.ok() || !source.device) return attached;
  const Status rebound = source.device->Rebind();
  return rebound.ok() ? attached : attached.WithContext(rebound.message() + "; before that");
}

Status Undo(const std::string& name, const Source& source) {
  RETURN_IF_ERROR(os::DetachRange(name));
  return source.device ? source.device->Rebind() : Status::Ok();
}

// All of a pool, or nothing.
Status AttachAll(const std::string& name, const std::vector<Source>& sources) {
  for (std::size_t i = 0; i < sources.size(); ++i) {
    Status attached = Attach(pool::AttachedName(name, i), sources[i]);
    for (std::size_t undone = i; !attached.ok() && undone-- > 0;) {
      const Status undo = Undo(pool::AttachedName(name, undone), sources[undone]);
      if (!undo.ok()) attached = attached.WithContext(undo.message() + "; before that");
    }
    RETURN_IF_ERROR(attached);
  }
  return Status::Ok();
}

}  // namespace

Status AttachPool(const PoolCommand& command, Context& context) {
  if (command.pool.find('/') != std::string::npos) {
    return InvalidArgumentError("attach wants a name, which becomes /dev/daxfs/NAME");
  }
  if (command.phys.empty() != (command.size_bytes == 0)) {
    return InvalidArgumentError("--phys and --size go together");
  }
  std::vector<Source> sources;
  if (command.phys.empty()) {
    ASSIGN_OR_RETURN(sources, SourcesOf(command.pool));
  } else {
    ASSIGN_OR_RETURN(const std::uint64_t phys, base::ParseSize(command.phys).WithContext("--phys"));
    sources.push_back({{phys, command.size_bytes}, nullptr});
  }
  if (!os::HasDaxfsControl()) {
    return FailedPreconditionError("the kernel module is not loaded: modprobe daxfs");
  }
  RETURN_IF_ERROR(AttachAll(command.pool, sources));
  std::string device;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    device += (i == 0 ? "" : ",") + pool::AttachedPath(pool::AttachedName(command.pool, i));
  }
  return context.out(command.json ? JsonLine({{"ok", true}, {"device", device}}) : device + "\n");
}

Status DetachPool(const PoolCommand& command, Context& context) {
  RETURN_IF_ERROR(os::DetachRange(command.pool));
  for (std::size_t i = 1; pool::IsAttached(pool::AttachedName(command.pool, i)); ++i) {
    RETURN_IF_ERROR(os::DetachRange(pool::AttachedName(command.pool, i)));
  }
  return command.json ? context.out(JsonLine({{"ok", true}})) : Status::Ok();
}

}  // namespace daxfs::tools
