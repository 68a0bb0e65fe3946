// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "common/os/clock.hpp"

namespace daxfs::os::testing {

// Time that moves when the test says so.
class ManualClock final : public Clock {
 public:
  std::int64_t NowMs() const override { return now_ms_; }
  void Advance(std::int64_t milliseconds) { now_ms_ += milliseconds; }

 private:
  std::int64_t now_ms_ = 1000;
};

}  // namespace daxfs::os::testing
