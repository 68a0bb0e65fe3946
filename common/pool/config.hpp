// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::pool {

// A pool as a host knows it: what it is called here, and where its memory is.
struct PoolConfig {
  std::string name;                   // "" for one that was given by path
  std::vector<std::string> devices;   // files or dax devices, in any order
  std::uint64_t size_bytes = 0;       // of a file that is yet to be made, or from `phys` on
  std::optional<std::uint64_t> phys;  // instead of devices: an address only the kernel module uses
  std::string label;
};

// POOL of a command line: paths (with a "/" in them, several with commas between), else the name of
// a pool that the kernel module has attached (/dev/daxfs/NAME), else that of a file NAME.yaml in
// $DAXFS_POOLS_DIR or /etc/daxfs/pools.d. Errors: kNotFound with the names there are;
// kInvalidArgument for a file that is wrong, with its line.
Result<PoolConfig> ResolvePool(std::string_view text);

// The file NAME.yaml alone. Errors: the same.
Result<PoolConfig> ReadPoolConfig(const std::string& name);

// One file: `devices` (a list of paths), optionally `size` ("4G") and `label`; or `phys` and `size`
// instead of devices. Errors:
// kInvalidArgument, also for keys nobody knows.
Result<PoolConfig> ParsePoolConfig(const std::string& name, const std::string& yaml);

// Of all files there. Names only; sorted.
std::vector<std::string> KnownPools();

}  // namespace daxfs::pool
