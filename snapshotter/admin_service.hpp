// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/rpc/observer.hpp"
#include "snapshotter/snapshotter.hpp"

namespace grpc {
class Service;
}

namespace daxfs::snapshotter {

// What the daemon says of itself; as StatusResponse.
struct Standing {
  std::string version;
  std::int64_t started_ns = 0;
  std::string root;
  std::string pool;
  std::string pool_uuid;
  std::string backend;
  std::string why_no_pool;
  std::string containerd;
  std::string content;
};

// daxfs.snapshotter.v1.Admin over a snapshotter. Borrows both; `standing` is asked at each call.
std::unique_ptr<grpc::Service> MakeAdminService(Snapshotter& snapshotter,
                                                std::function<Standing()> standing,
                                                rpc::CallObserver& observer);

}  // namespace daxfs::snapshotter
