// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "common/base/status.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {

// Of the last device from now on `size_bytes`, from its beginning, are the pool's, as far as that
// is whole chunks. A file gets that size; of a device the rest stays unused. Others may go on
// meanwhile. Whoever dies at it leaves a pool that is right, of some size in between; the same
// again finishes it. Errors: kInvalidArgument for more than the pool has tables for, less than
// tables and a chunk, a partitioned pool; kFailedPrecondition when it shall be smaller and an
// object stands in the way, with its name, or when another process is at it: then it is as before.
Status Resize(Participant& participant, std::uint64_t size_bytes);

}  // namespace daxfs::pool
