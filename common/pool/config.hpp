// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/dax_device.hpp"

namespace daxfs::pool {

// A pool as a host knows it: what it is called here, and where its memory is.
struct PoolConfig {
  std::string name;                       // "" for one that was given by path
  std::vector<std::string> devices;       // files or dax devices, in any order
  std::uint64_t size_bytes = 0;           // of a file that is yet to be made
  std::vector<os::PhysicalRange> ranges;  // instead of devices: only the kernel module uses them
  std::string label;
};

// What the kernel module calls device `index` of the pool `name`: NAME, NAME.1, NAME.2, ...
std::string AttachedName(const std::string& name, std::size_t index);

// Whether the kernel module shows a range of that name: /dev/daxfs/NAME.
bool IsAttached(const std::string& attached_name);

// The path of NAME there.
std::string AttachedPath(const std::string& attached_name);

// $DAXFS_POOLS_DIR, or /etc/daxfs/pools.d.
std::string PoolsDirectory();

// POOL of a command line: paths (with a "/" in them, several with commas between), else the name of
// a pool that the kernel module has attached (/dev/daxfs/NAME, NAME.1, ...), else that of a file
// NAME.yaml in $DAXFS_POOLS_DIR or /etc/daxfs/pools.d. Errors: kNotFound with the names there are;
// kInvalidArgument for a file that is wrong, with its line.
Result<PoolConfig> ResolvePool(std::string_view text);

// The file NAME.yaml alone. Errors: the same.
Result<PoolConfig> ReadPoolConfig(const std::string& name);

// One file: `devices` (a list of paths), optionally `size` ("4G") and `label`; or `phys` and `size`
// instead of devices, a number each or a list of as many. Errors: kInvalidArgument, also for keys
// nobody knows.
Result<PoolConfig> ParsePoolConfig(const std::string& name, const std::string& yaml);

// Of all files there. Names only; sorted.
std::vector<std::string> KnownPools();

}  // namespace daxfs::pool
