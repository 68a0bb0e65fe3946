// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/client_context.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace daxfs::rpc {

// As long as it is there, a call of that context is cancelled when `cancelled` says so, which is
// asked ten times a second, in a thread of its own. An empty one never does.
class CancelWhen {
 public:
  // Borrows `context`.
  CancelWhen(grpc::ClientContext& context, std::function<bool()> cancelled);
  ~CancelWhen();
  CancelWhen(const CancelWhen&) = delete;
  CancelWhen& operator=(const CancelWhen&) = delete;

 private:
  void Run();

  grpc::ClientContext& context_;
  const std::function<bool()> cancelled_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;  // under mutex_
  std::thread thread_;
};

}  // namespace daxfs::rpc
