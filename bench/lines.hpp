// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>

// Which cache lines of shared words the code under measurement has touched; core's atomics are
// built to tell (DAXFS_ATOMIC_SIMULATED).
namespace daxfs::bench {

inline constexpr std::size_t kLineBytes = 64;

// Distinct lines since the last call.
std::size_t TakeLines();

}  // namespace daxfs::bench
