// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "common/rpc/observer.hpp"
#include "snapshotter/applier.hpp"
#include "snapshotter/metrics.hpp"

namespace grpc {
class Service;
}

namespace daxfs::snapshotter {

// containerd.services.diff.v1.Diff over an applier: Apply; Diff is for containerd's own. Borrows
// all; metrics count the layers. Without an applier everything is for others.
std::unique_ptr<grpc::Service> MakeDiffService(Applier* applier, Metrics& metrics,
                                               rpc::CallObserver& observer);

}  // namespace daxfs::snapshotter
