// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "common/rpc/observer.hpp"
#include "snapshotter/snapshotter.hpp"

namespace grpc {
class Service;
}

namespace daxfs::snapshotter {

// containerd.services.snapshots.v1.Snapshots over a snapshotter. Borrows both.
std::unique_ptr<grpc::Service> MakeSnapshotsService(Snapshotter& snapshotter,
                                                    rpc::CallObserver& observer);

}  // namespace daxfs::snapshotter
