// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/server.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"
#include "common/os/unix_socket.hpp"

namespace daxfs::rpc {

// gRPC on one listening unix socket, a thread for each call that runs.
class Server {
 public:
  // Borrows the services and the log. Errors: by errno; kInternal if gRPC does not start.
  static Result<std::unique_ptr<Server>> Start(os::UniqueFd listener,
                                               const std::vector<grpc::Service*>& services,
                                               base::Logger& log);
  ~Server();

  // Takes no more connections and calls; those that run may go on for `grace`, then they are
  // cancelled. Returns when all have ended.
  void Stop(std::chrono::milliseconds grace);

 private:
  Server(os::UniqueFd listener, os::StopSignal stop, std::unique_ptr<grpc::Server> server,
         base::Logger& log);
  void Accept();

  const os::UniqueFd listener_;
  const os::StopSignal stop_;
  const std::unique_ptr<grpc::Server> server_;
  base::Logger& log_;
  std::thread thread_;
};

}  // namespace daxfs::rpc
