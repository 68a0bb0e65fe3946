// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/base/status.hpp"
#include "common/os/reserve.hpp"

namespace daxfs::snapshotter {

inline const Status& StatusOf(const Status& status) { return status; }
template <typename T>
const Status& StatusOf(const Result<T>& result) {
  return result.status();
}

// What `body`, which changes the database, returns: what a full disk must not stop.
template <typename F>
auto WithReserve(os::Reserve& reserve, F body) -> decltype(body()) {
  for (;;) {
    auto result = body();
    const StatusCode code = StatusOf(result).code();
    // A full disk is an I/O error to SQLite where it has no room for what lies beside the file.
    const bool full = code == StatusCode::kResourceExhausted || code == StatusCode::kInternal;
    if (!full || !reserve.Release()) return result;
  }
}

}  // namespace daxfs::snapshotter
