// SPDX-License-Identifier: Apache-2.0
#include "common/rpc/cancel_when.hpp"

#include <chrono>
#include <utility>

namespace daxfs::rpc {

CancelWhen::CancelWhen(grpc::ClientContext& context, std::function<bool()> cancelled)
    : context_(context), cancelled_(std::move(cancelled)) {
  if (cancelled_) thread_ = std::thread([this] { Run(); });
}

CancelWhen::~CancelWhen() {
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void CancelWhen::Run() {
  constexpr std::chrono::milliseconds kTick{100};
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kTick, [this] { return ended_; })) {
    if (cancelled_()) {
      context_.TryCancel();
      return;
    }
  }
}

}  // namespace daxfs::rpc
