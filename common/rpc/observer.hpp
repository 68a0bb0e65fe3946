// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string_view>

#include "common/base/status.hpp"

namespace daxfs::rpc {

// Sees every call when it has ended. Thread safe.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  // `subject`: what it was about, for people; may be empty.
  virtual void Ended(std::string_view method, std::string_view subject, const Status& status,
                     std::chrono::nanoseconds took) = 0;
};

}  // namespace daxfs::rpc
