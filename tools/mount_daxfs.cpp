// SPDX-License-Identifier: Apache-2.0
// mount.daxfs: what mount(8) calls for type daxfs. Finds the memory a device name stands for, takes
// it from its driver, and mounts the image in it.
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "common/os/dax_device.hpp"
#include "common/os/mount.hpp"
#include "tools/mount_request.hpp"

namespace daxfs::tools {
namespace {

constexpr const char* kUsage =
    R"(Usage: mount.daxfs SOURCE DIR [-fnsv] [-o OPTIONS]     (or: mount -t daxfs ...)

SOURCE is the memory that holds one image, or a pool, from its first byte on:
  /dev/daxX.Y   a device-dax device; taken from its driver
  /dev/pmemN    a pmem device nothing uses; taken from its driver
  pool:NAME     a pool the kernel has attached as /dev/daxfs/NAME; with image=
  none          then OPTIONS say where: phys=ADDRESS,size=BYTES

OPTIONS:
  phys=ADDRESS  physical address, multiple of 2 MiB; hexadecimal or decimal
  size=BYTES    bytes of the range (K, M, G, T), rounded up to 2 MiB;
                for a device: all of it unless given
  image=IMAGE   out of a pool: a name, or sha256: and a digest of the image, its layer or chain
  verify=LEVEL  compare with the image's digests: none, meta, lazy (data when it is
                first used) or full
  nosuid nodev noexec noatime relatime ...  as for every mount

  -f  do everything but mount      -v  say what is done
  -n  -s  accepted, no effect      --help  --version

An image is read-only. After umount, give a device back to its driver:
  echo daxX.Y > /sys/bus/dax/drivers/device_dax/bind
  echo namespaceN.0 > /sys/bus/nd/drivers/nd_pmem/bind
Exit status: 0 mounted, 1 failed and the device is its driver's again, 2 wrong usage.
)";

Status Complain(const MountCommand& command, const Status& status) {
  return status.WithContext("mount.daxfs: " + command.source + " on " + command.target);
}

void AddPlace(const os::PhysicalRange& range, os::MountRequest* request) {
  char phys[32];
  std::snprintf(phys, sizeof(phys), "0x%llx", static_cast<unsigned long long>(range.phys));
  request->options.emplace_back("phys", phys);
  if (!HasOption(*request, "size")) {
    request->options.emplace_back("size", std::to_string(range.size_bytes));
  }
}

Status MountDevice(const MountCommand& command, os::MountRequest request) {
  if (HasOption(request, "phys")) {
    return InvalidArgumentError("phys= contradicts a device; use source none");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<os::DaxDevice> device,
                   os::DaxDevice::Open(command.source));
  AddPlace(device->range(), &request);
  if (command.verbose) {
    std::fprintf(stderr, "mount.daxfs: %s is at 0x%llx, %llu bytes%s\n", command.source.c_str(),
                 static_cast<unsigned long long>(device->range().phys),
                 static_cast<unsigned long long>(device->range().size_bytes),
                 device->driven() ? ", taken from its driver" : "");
  }
  if (command.fake) return Status::Ok();
  const bool driven = device->driven();
  if (driven) RETURN_IF_ERROR(device->Unbind());
  Status mounted = os::MountFilesystem(request);
  if (mounted.ok() || !driven) return mounted;
  const Status rebound = device->Rebind();
  if (rebound.ok()) return mounted;
  return mounted.WithContext(rebound.message() + "; before that");
}

Status Mount(const MountCommand& command) {
  os::MountRequest request = MakeRequest(command);
  if (command.source.rfind("/dev/", 0) == 0) return MountDevice(command, std::move(request));
  if (command.source.rfind("pool:", 0) == 0) {
    return command.fake ? Status::Ok() : os::MountFilesystem(request);
  }
  if (HasOption(request, "phys") != HasOption(request, "size")) {
    return InvalidArgumentError(HasOption(request, "phys") ? "-o size=BYTES is missing"
                                                           : "-o phys=ADDRESS is missing");
  }
  if (!HasOption(request, "phys")) {
    return InvalidArgumentError("say where the image is: a device, or -o phys=ADDRESS,size=BYTES");
  }
  return command.fake ? Status::Ok() : os::MountFilesystem(request);
}

int Main(const std::vector<std::string>& arguments) {
  const Result<MountCommand> command = ParseMountCommand(arguments);
  if (!command.ok()) {
    std::fprintf(stderr, "mount.daxfs: %s\nTry: mount.daxfs --help\n",
                 command.status().message().c_str());
    return 2;
  }
  if (command->help || command->version) {
    std::fputs(command->help ? kUsage : "mount.daxfs " DAXFS_VERSION_TEXT "\n", stdout);
    return 0;
  }
  const Status status = Mount(*command);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", Complain(*command, status).message().c_str());
  return status.code() == StatusCode::kInvalidArgument && status.error_number() == 0 ? 2 : 1;
}

}  // namespace
}  // namespace daxfs::tools

int main(int argc, char** argv) {
  try {
    return daxfs::tools::Main({argv + 1, argv + argc});
  } catch (const std::exception& error) {  // a library's: ours throws nothing
    std::fprintf(stderr, "mount.daxfs: %s\n", error.what());
    return 1;
  }
}
