// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/sync_stream.h>

#include <cstddef>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::rpc {

// Of one message of many: containerd takes 16 MiB, and one item may have nearly as much.
constexpr std::size_t kBatchItemsMost = 100;
constexpr std::size_t kBatchBytesMost = 4U << 20U;

// Answers with all of `items`, each put into a message by `add(item, Response*)`, several to a
// message. Errors: kCancelled if the client has gone.
template <typename Response, typename Item, typename Add>
Status WriteBatches(grpc::ServerWriter<Response>& writer, const std::vector<Item>& items, Add add) {
  Response response;
  std::size_t count = 0;
  const auto write = [&] {
    const bool written = writer.Write(response);
    response.Clear();
    count = 0;
    return written ? Status::Ok() : CancelledError("the client has gone");
  };
  for (const Item& item : items) {
    Response one;
    add(item, &one);
    const bool fits = response.ByteSizeLong() + one.ByteSizeLong() <= kBatchBytesMost;
    if (count == kBatchItemsMost || (count != 0 && !fits)) RETURN_IF_ERROR(write());
    response.MergeFrom(one);
    ++count;
  }
  return count == 0 ? Status::Ok() : write();
}

}  // namespace daxfs::rpc
