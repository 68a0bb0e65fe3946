// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/admin_service.hpp"

#include <utility>

#include "common/rpc/batches.hpp"
#include "common/rpc/call.hpp"
#include "daxfs/snapshotter/v1/admin.grpc.pb.h"

namespace daxfs::snapshotter {
namespace {

namespace api = daxfs::snapshotter::v1;
using grpc::ServerContext;

api::Snapshot::State ToApi(Sight::State state) {
  switch (state) {
    case Sight::State::kDirectory:
      return api::Snapshot::DIRECTORY;
    case Sight::State::kPlaced:
      return api::Snapshot::PLACED;
    case Sight::State::kMissing:
      return api::Snapshot::MISSING;
    case Sight::State::kRebuilding:
      return api::Snapshot::REBUILDING;
    case Sight::State::kUnknown:
      break;
  }
  return api::Snapshot::STATE_UNSPECIFIED;
}

void ToApi(const Sight& sight, api::Snapshot* out) {
  const Snapshot& snapshot = sight.snapshot;
  out->set_number(snapshot.layer.id);
  out->set_name(snapshot.info.name);
  out->set_parent(snapshot.info.parent);
  out->set_kind(static_cast<api::Snapshot::Kind>(snapshot.info.kind));
  out->set_state(ToApi(sight.state));
  if (snapshot.layer.image) {
    out->set_image(snapshot.layer.image->root.ToString());
    out->set_diff_id(snapshot.layer.image->diff_id.ToString());
  }
  if (snapshot.chain) out->set_chain(snapshot.chain->ToString());
  out->set_created_ns(snapshot.info.created_ns);
  out->set_updated_ns(snapshot.info.updated_ns);
  out->set_counted(snapshot.usage.has_value());
  if (snapshot.usage) {
    out->set_bytes(snapshot.usage->bytes);
    out->set_inodes(snapshot.usage->inodes);
  }
  out->set_directory(sight.directory);
  out->set_mounted(sight.mounted);
  out->set_why(sight.why);
  out->mutable_labels()->insert(snapshot.info.labels.begin(), snapshot.info.labels.end());
}

class Service final : public api::Admin::Service {
 public:
  Service(Snapshotter& snapshotter, std::function<Standing()> standing, rpc::CallObserver& observer)
      : snapshotter_(snapshotter), standing_(std::move(standing)), observer_(observer) {}

  grpc::Status Status(ServerContext* /*context*/, const api::StatusRequest* /*request*/,
                      api::StatusResponse* response) override {
    return rpc::RunCall("Admin.Status", "", observer_, [&] {
      const Standing now = standing_();
      response->set_version(now.version);
      response->set_started_ns(now.started_ns);
      response->set_root(now.root);
      response->set_pool(now.pool);
      response->set_pool_uuid(now.pool_uuid);
      response->set_backend(now.backend);
      response->set_why_no_pool(now.why_no_pool);
      response->set_containerd(now.containerd);
      response->set_content(now.content);
      return daxfs::Status::Ok();
    });
  }

  grpc::Status List(ServerContext* /*context*/, const api::ListRequest* request,
                    grpc::ServerWriter<api::ListResponse>* writer) override {
    return rpc::RunCall("Admin.List", "", observer_, [&]() -> daxfs::Status {
      ASSIGN_OR_RETURN(const std::vector<Sight> sights,
                       snapshotter_.Look({request->keys().begin(), request->keys().end()}));
      return rpc::WriteBatches(*writer, sights, [](const Sight& sight, auto* response) {
        ToApi(sight, response->add_snapshots());
      });
    });
  }

 private:
  Snapshotter& snapshotter_;
  const std::function<Standing()> standing_;
  rpc::CallObserver& observer_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(Snapshotter& snapshotter,
                                                std::function<Standing()> standing,
                                                rpc::CallObserver& observer) {
  return std::make_unique<Service>(snapshotter, std::move(standing), observer);
}

}  // namespace daxfs::snapshotter
