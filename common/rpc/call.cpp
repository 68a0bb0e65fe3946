// SPDX-License-Identifier: Apache-2.0
#include "common/rpc/call.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>

namespace daxfs::rpc {

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), status.message()};
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return Status::Ok();
  return {static_cast<StatusCode>(status.error_code()), status.error_message()};
}

bool IsHeaderText(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

grpc::Status RunCall(std::string_view method, std::string_view subject, CallObserver& observer,
                     const std::function<Status()>& body) {
  const auto begun = std::chrono::steady_clock::now();
  Status status;
  try {
    status = body();
  } catch (const std::exception& error) {
    status = InternalError(std::string(method) + ": " + error.what());
  }
  observer.Ended(method, subject, status, std::chrono::steady_clock::now() - begun);
  return ToGrpc(status);
}

}  // namespace daxfs::rpc
