// SPDX-License-Identifier: Apache-2.0
#include "common/rpc/server.hpp"

#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include <utility>

namespace daxfs::rpc {
namespace {

constexpr int kMessageMaxBytes = 16 << 20;  // what containerd takes
constexpr std::chrono::milliseconds kPause{100};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(os::UniqueFd listener,
                                              const std::vector<grpc::Service*>& services,
                                              base::Logger& log) {
  ASSIGN_OR_RETURN(os::StopSignal stop, os::StopSignal::Create());
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMessageMaxBytes);
  builder.SetMaxSendMessageSize(kMessageMaxBytes);
  // A small message may be a large one, compressed. Nobody who asks here compresses.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return InternalError("gRPC does not start");
  return std::unique_ptr<Server>(
      new Server(std::move(listener), std::move(stop), std::move(server), log));
}

Server::Server(os::UniqueFd listener, os::StopSignal stop, std::unique_ptr<grpc::Server> server,
               base::Logger& log)
    : listener_(std::move(listener)),
      stop_(std::move(stop)),
      server_(std::move(server)),
      log_(log),
      thread_([this] { Accept(); }) {}

Server::~Server() { Stop(std::chrono::milliseconds(0)); }

void Server::Stop(std::chrono::milliseconds grace) {
  if (!thread_.joinable()) return;
  stop_.Signal();
  thread_.join();
  server_->Shutdown(std::chrono::system_clock::now() + grace);
  server_->Wait();
}

void Server::Accept() {
  for (;;) {
    Result<std::optional<os::UniqueFd>> accepted = os::AcceptUnless(listener_.get(), stop_.fd());
    if (!accepted.ok()) {
      // Out of descriptors or memory, which may pass; a client waits until then.
      log_.Warning("cannot take a connection", {{"err", accepted.status().message()}});
      std::this_thread::sleep_for(kPause);
      continue;
    }
    if (!*accepted) return;
    grpc::AddInsecureChannelFromFd(server_.get(), (*accepted)->Release());
  }
}

}  // namespace daxfs::rpc
