// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/snapshots_service.hpp"

#include <google/protobuf/timestamp.pb.h>

#include "common/rpc/batches.hpp"
#include "common/rpc/call.hpp"
#include "services/snapshots/v1/snapshots.grpc.pb.h"

namespace daxfs::snapshotter {
namespace {

namespace api = ::containerd::services::snapshots::v1;
using google::protobuf::Empty;
using google::protobuf::Timestamp;
using grpc::ServerContext;

constexpr std::int64_t kNsPerSecond = 1000000000;

Labels FromApi(const google::protobuf::Map<std::string, std::string>& labels) {
  return {labels.begin(), labels.end()};
}

void ToApi(std::int64_t ns, Timestamp* out) {
  out->set_seconds(ns / kNsPerSecond);
  out->set_nanos(static_cast<std::int32_t>(ns % kNsPerSecond));
}

void ToApi(const Info& info, api::Info* out) {
  out->set_name(info.name);
  out->set_parent(info.parent);
  out->set_kind(static_cast<api::Kind>(info.kind));
  ToApi(info.created_ns, out->mutable_created_at());
  ToApi(info.updated_ns, out->mutable_updated_at());
  out->mutable_labels()->insert(info.labels.begin(), info.labels.end());
}

// A response's mounts, of those that have some.
template <typename Response>
Status SetMounts(const Result<std::vector<Mount>>& mounts, Response* response) {
  RETURN_IF_ERROR(mounts.status());
  for (const Mount& mount : *mounts) {
    ::containerd::types::Mount* out = response->add_mounts();
    out->set_type(mount.type);
    out->set_source(mount.source);
    for (const std::string& option : mount.options) out->add_options(option);
  }
  return Status::Ok();
}

class Service final : public api::Snapshots::Service {
 public:
  Service(Snapshotter& snapshotter, rpc::CallObserver& observer)
      : snapshotter_(snapshotter), observer_(observer) {}

  grpc::Status Prepare(ServerContext* /*context*/, const api::PrepareSnapshotRequest* request,
                       api::PrepareSnapshotResponse* response) override {
    return rpc::RunCall("Prepare", request->key(), observer_, [&] {
      return SetMounts(
          snapshotter_.Prepare(request->key(), request->parent(), FromApi(request->labels())),
          response);
    });
  }

  grpc::Status View(ServerContext* /*context*/, const api::ViewSnapshotRequest* request,
                    api::ViewSnapshotResponse* response) override {
    return rpc::RunCall("View", request->key(), observer_, [&] {
      return SetMounts(
          snapshotter_.View(request->key(), request->parent(), FromApi(request->labels())),
          response);
    });
  }

  grpc::Status Mounts(ServerContext* /*context*/, const api::MountsRequest* request,
                      api::MountsResponse* response) override {
    return rpc::RunCall("Mounts", request->key(), observer_,
                        [&] { return SetMounts(snapshotter_.Mounts(request->key()), response); });
  }

  grpc::Status Commit(ServerContext* /*context*/, const api::CommitSnapshotRequest* request,
                      Empty* /*response*/) override {
    return rpc::RunCall("Commit", request->key(), observer_, [&] {
      return snapshotter_.Commit(
          {request->name(), request->key(), request->parent(), FromApi(request->labels())});
    });
  }

  grpc::Status Remove(ServerContext* /*context*/, const api::RemoveSnapshotRequest* request,
                      Empty* /*response*/) override {
    return rpc::RunCall("Remove", request->key(), observer_,
                        [&] { return snapshotter_.Remove(request->key()); });
  }

  grpc::Status Stat(ServerContext* /*context*/, const api::StatSnapshotRequest* request,
                    api::StatSnapshotResponse* response) override {
    return rpc::RunCall("Stat", request->key(), observer_, [&]() -> Status {
      ASSIGN_OR_RETURN(const Info info, snapshotter_.Stat(request->key()));
      ToApi(info, response->mutable_info());
      return Status::Ok();
    });
  }

  grpc::Status Update(ServerContext* /*context*/, const api::UpdateSnapshotRequest* request,
                      api::UpdateSnapshotResponse* response) override {
    return rpc::RunCall("Update", request->info().name(), observer_, [&]() -> Status {
      Info wanted;
      wanted.name = request->info().name();
      wanted.labels = FromApi(request->info().labels());
      const auto& paths = request->update_mask().paths();
      ASSIGN_OR_RETURN(const Info info, snapshotter_.Update(wanted, {paths.begin(), paths.end()}));
      ToApi(info, response->mutable_info());
      return Status::Ok();
    });
  }

  grpc::Status List(ServerContext* /*context*/, const api::ListSnapshotsRequest* request,
                    grpc::ServerWriter<api::ListSnapshotsResponse>* writer) override {
    return rpc::RunCall("List", "", observer_, [&]() -> Status {
      const auto& filters = request->filters();
      ASSIGN_OR_RETURN(const std::vector<Info> infos,
                       snapshotter_.List({filters.begin(), filters.end()}));
      return rpc::WriteBatches(*writer, infos, [](const Info& info, auto* response) {
        ToApi(info, response->add_info());
      });
    });
  }

  grpc::Status Usage(ServerContext* context, const api::UsageRequest* request,
                     api::UsageResponse* response) override {
    return rpc::RunCall("Usage", request->key(), observer_, [&]() -> Status {
      ASSIGN_OR_RETURN(
          const snapshotter::Usage usage,
          snapshotter_.Measure(request->key(), [context] { return context->IsCancelled(); }));
      response->set_size(usage.bytes);
      response->set_inodes(usage.inodes);
      return Status::Ok();
    });
  }

  grpc::Status Cleanup(ServerContext* /*context*/, const api::CleanupRequest* /*request*/,
                       Empty* /*response*/) override {
    return rpc::RunCall("Cleanup", "", observer_, [&] { return snapshotter_.Cleanup(); });
  }

 private:
  Snapshotter& snapshotter_;
  rpc::CallObserver& observer_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSnapshotsService(Snapshotter& snapshotter,
                                                    rpc::CallObserver& observer) {
  return std::make_unique<Service>(snapshotter, observer);
}

}  // namespace daxfs::snapshotter
