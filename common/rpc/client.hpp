// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "common/base/status.hpp"

namespace daxfs::rpc {

// To who listens on the unix socket `address`; takes messages as large as containerd's. Errors: as
// os::ProbeUnix, at once, where gRPC would try again.
Result<std::shared_ptr<grpc::Channel>> Dial(const std::string& address);

}  // namespace daxfs::rpc
