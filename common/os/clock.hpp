// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace daxfs::os {

// Time that only goes forward. Thread safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since some fixed moment.
  virtual std::int64_t NowMs() const = 0;
};

class SteadyClock final : public Clock {
 public:
  std::int64_t NowMs() const override;
};

}  // namespace daxfs::os
