// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "common/base/status.hpp"
#include "common/os/file_lock.hpp"
#include "common/pool/digest.hpp"

namespace daxfs::pool {

// Who takes part in a pool: the host, by an id that stays the same over boots, and where its
// processes show each other that they live.
struct HostIdentity {
  Uuid id{};
  std::string name;        // for people
  std::uint64_t boot = 0;  // changes with every boot
  std::string run_dir;     // a directory of this boot, shared by all processes of the host
};

// Where the id comes from, the first there is: $DAXFS_HOST_ID, the DMI product UUID,
// /etc/daxfs/host-id. The directory is $DAXFS_RUN_DIR, else /run/daxfs. Errors:
// kFailedPrecondition without an id, with what to do; kInvalidArgument for one that is none.
Result<HostIdentity> ThisHost();

// What a slot's record says of the lock file of its owner: the upper half is of the boot, and not
// 0, the lower of the file; neighbours on one file system differ.
std::uint64_t LockMark(const HostIdentity& host, const os::FileLock& lock);

}  // namespace daxfs::pool
