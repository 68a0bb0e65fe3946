// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "tools/context.hpp"

namespace daxfs::tools {

struct PoolCommand {
  std::string pool;                  // a name of /etc/daxfs/pools.d, or paths
  std::vector<std::string> objects;  // rm, get, ls: names or digests
  std::string source;                // put
  std::string name;                  // put
  std::string output;                // get
  std::string host;                  // fence: number, id or name
  std::string label;                 // create
  std::string phys;                  // attach
  std::uint64_t size_bytes = 0;      // create, attach, resize
  std::uint64_t max_size_bytes = 0;  // create
  std::uint32_t rows = 0;
  std::uint32_t aliases = 0;
  std::uint32_t slots = 0;
  std::uint32_t hosts = 0;
  std::vector<std::string> partitions;      // ids of hosts
  std::uint64_t wanted_bytes = UINT64_MAX;  // gc
  double interval_seconds = 1;              // watch
  std::uint32_t count = 0;                  // watch: how often; 0: until interrupted
  bool force = false;                       // create
  bool dry_run = false;                     // gc
  bool powered_off = false;                 // fence
  bool repair = false;                      // check
  bool whole = false;                       // info, ls: as wide as it is, on a terminal too
  bool json = false;
};

// One function a subcommand of `daxfsctl pool`. Errors: as Memory::Open and Participant::Attach.
Status CreatePool(const PoolCommand& command, Context& context);
Status ResizePool(const PoolCommand& command, Context& context);
// The kernel module shows it as /dev/daxfs/NAME; nothing to do for one that it shows already.
Status AttachPool(const PoolCommand& command, Context& context);
Status DetachPool(const PoolCommand& command, Context& context);
Status ShowPool(const PoolCommand& command, Context& context);
Status ListPool(const PoolCommand& command, Context& context);
Status CollectPool(const PoolCommand& command, Context& context);
// Errors: kNotFound; kInvalidArgument without --powered-off, with what it would do;
// kFailedPrecondition while that host's heart beats.
Status FencePool(const PoolCommand& command, Context& context);
// Sets context.differ when something is left to repair.
Status CheckPool(const PoolCommand& command, Context& context);
Status WatchPool(const PoolCommand& command, Context& context);
// Errors: kFailedPrecondition while somebody uses or holds one; what came before it is gone.
Status RemoveFromPool(const PoolCommand& command, Context& context);
Status PutIntoPool(const PoolCommand& command, Context& context);
Status GetFromPool(const PoolCommand& command, Context& context);

}  // namespace daxfs::tools
