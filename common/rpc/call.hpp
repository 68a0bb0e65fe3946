// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/status.h>

#include <functional>
#include <string_view>

#include "common/base/status.hpp"
#include "common/rpc/observer.hpp"

namespace daxfs::rpc {

// The codes are the same; messages are passed on.
grpc::Status ToGrpc(const Status& status);
Status FromGrpc(const grpc::Status& status);

// Whether it can be the value of a header; of another gRPC aborts the process.
bool IsHeaderText(std::string_view text);

// What every method of a service runs in: the border where exceptions of libraries end, as
// kInternal.
grpc::Status RunCall(std::string_view method, std::string_view subject, CallObserver& observer,
                     const std::function<Status()>& body);

}  // namespace daxfs::rpc
