// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/pool/participant.hpp"

namespace daxfs::pool {

inline const Status& StatusOf(const Status& status) { return status; }
template <typename T>
const Status& StatusOf(const Result<T>& result) {
  return result.status();
}

template <typename Look>
auto Participant::WithRoom(const Need& need, Look look) -> decltype(look()) {
  Attempts attempts;
  for (;;) {
    auto found = look();
    const bool full = StatusOf(found).code() == StatusCode::kResourceExhausted;
    if (!full || !MakeRoom(need, attempts)) return found;
  }
}

}  // namespace daxfs::pool
