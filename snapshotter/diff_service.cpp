// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/diff_service.hpp"

#include "common/base/log.hpp"
#include "common/rpc/call.hpp"
#include "services/diff/v1/diff.grpc.pb.h"

namespace daxfs::snapshotter {
namespace {

namespace api = ::containerd::services::diff::v1;
using grpc::ServerContext;

constexpr const char* kTarType = "application/vnd.oci.image.layer.v1.tar";
constexpr const char* kNamespaceHeader = "containerd-namespace";

// Containerd is asked with the same. Errors: kInvalidArgument for one that cannot be sent.
Result<std::string> NamespaceOf(const ServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(kNamespaceHeader);
  if (found == metadata.end()) return std::string();
  std::string name(found->second.data(), found->second.size());
  if (rpc::IsHeaderText(name)) return name;
  return InvalidArgumentError("no namespace has the name '" + base::Printable(name) + "'");
}

Result<ApplyRequest> FromApi(const api::ApplyRequest& in, const ServerContext& context) {
  ApplyRequest out;
  ASSIGN_OR_RETURN(out.blob.digest, oci::Digest::Parse(in.diff().digest()));
  if (in.diff().size() < 0) return InvalidArgumentError("the layer's size is below 0");
  out.blob.media_type = in.diff().media_type();
  out.blob.size_bytes = static_cast<std::uint64_t>(in.diff().size());
  for (const ::containerd::types::Mount& mount : in.mounts()) {
    out.mounts.push_back(
        {mount.type(), mount.source(), {mount.options().begin(), mount.options().end()}});
  }
  ASSIGN_OR_RETURN(out.name_space, NamespaceOf(context));
  out.cancelled = [&context] { return context.IsCancelled(); };
  return out;
}

class Service final : public api::Diff::Service {
 public:
  Service(Applier* applier, Metrics& metrics, rpc::CallObserver& observer)
      : applier_(applier), metrics_(metrics), observer_(observer) {}

  grpc::Status Apply(ServerContext* context, const api::ApplyRequest* request,
                     api::ApplyResponse* response) override {
    return rpc::RunCall("Apply", request->diff().digest(), observer_, [&]() -> Status {
      if (applier_ == nullptr) return UnimplementedError("no pool is configured");
      ASSIGN_OR_RETURN(const ApplyRequest wanted, FromApi(*request, *context));
      ASSIGN_OR_RETURN(const Tar tar, applier_->Apply(wanted));
      metrics_.Placed(tar.how, tar.size_bytes);
      response->mutable_applied()->set_media_type(kTarType);
      response->mutable_applied()->set_digest(tar.digest.ToString());
      response->mutable_applied()->set_size(static_cast<std::int64_t>(tar.size_bytes));
      return Status::Ok();
    });
  }

  grpc::Status Diff(ServerContext* /*context*/, const api::DiffRequest* /*request*/,
                    api::DiffResponse* /*response*/) override {
    return rpc::RunCall("Diff", "", observer_, [] {
      return UnimplementedError("differences are for containerd's walking differ");
    });
  }

 private:
  Applier* const applier_;
  Metrics& metrics_;
  rpc::CallObserver& observer_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDiffService(Applier* applier, Metrics& metrics,
                                               rpc::CallObserver& observer) {
  return std::make_unique<Service>(applier, metrics, observer);
}

}  // namespace daxfs::snapshotter
