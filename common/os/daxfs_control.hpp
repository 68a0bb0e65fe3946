// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/status.hpp"
#include "common/os/dax_device.hpp"

namespace daxfs::os {

// Whether the kernel module is loaded and takes pools.
bool HasDaxfsControl();

// The module shows the pool in that range as /dev/daxfs/NAME. Errors: by errno (EEXIST: the name is
// taken; EINVAL: no pool there); kFailedPrecondition without the module.
Status AttachRange(const std::string& name, const PhysicalRange& range);

// The name goes; the memory goes with its last user. Errors: by errno; kFailedPrecondition.
Status DetachRange(const std::string& name);

}  // namespace daxfs::os
