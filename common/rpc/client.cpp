// SPDX-License-Identifier: Apache-2.0
#include "common/rpc/client.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "common/os/unix_socket.hpp"

namespace daxfs::rpc {
namespace {

constexpr int kMessageMaxBytes = 16 << 20;

}  // namespace

Result<std::shared_ptr<grpc::Channel>> Dial(const std::string& address) {
  RETURN_IF_ERROR(os::ProbeUnix(address));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageMaxBytes);
  return grpc::CreateCustomChannel("unix:" + address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

}  // namespace daxfs::rpc
