// SPDX-License-Identifier: Apache-2.0
#include "common/os/clock.hpp"

#include <chrono>

namespace daxfs::os {

std::int64_t SteadyClock::NowMs() const {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace daxfs::os
