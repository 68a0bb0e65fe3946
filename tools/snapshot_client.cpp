// SPDX-License-Identifier: Apache-2.0
#include "tools/snapshot_client.hpp"

#include <chrono>
#include <memory>
#include <utility>

#include "common/rpc/call.hpp"
#include "common/rpc/client.hpp"
#include "daxfs/snapshotter/v1/admin.grpc.pb.h"

namespace daxfs::tools {
namespace {

namespace api = daxfs::snapshotter::v1;

constexpr std::chrono::seconds kPatience{30};

Result<std::unique_ptr<api::Admin::Stub>> Connect(const std::string& address) {
  const auto channel = rpc::Dial(address);
  if (channel.ok()) return api::Admin::NewStub(*channel);
  const Status& why = channel.status();
  if (why.code() != StatusCode::kNotFound && why.code() != StatusCode::kUnavailable) return why;
  return Status(StatusCode::kUnavailable, "no daxfs-snapshotter answers: " + why.message());
}

// For people, who know neither gRPC nor which program is how old.
Status Explain(const grpc::Status& said, const std::string& address) {
  const Status status = rpc::FromGrpc(said);
  if (status.code() == StatusCode::kUnimplemented) {
    return UnimplementedError(address +
                              ": who answers there is an older daxfs-snapshotter, or another");
  }
  if (status.code() == StatusCode::kDeadlineExceeded) {
    return {status.code(),
            address + ": no answer in " + std::to_string(kPatience.count()) + " seconds"};
  }
  return status.WithContext(address);
}

void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
}

std::string KindText(api::Snapshot::Kind kind) {
  switch (kind) {
    case api::Snapshot::VIEW:
      return "view";
    case api::Snapshot::ACTIVE:
      return "active";
    case api::Snapshot::COMMITTED:
      return "committed";
    default:
      return "unknown";
  }
}

std::string StateText(api::Snapshot::State state) {
  switch (state) {
    case api::Snapshot::DIRECTORY:
      return "directory";
    case api::Snapshot::PLACED:
      return "placed";
    case api::Snapshot::MISSING:
      return "missing";
    case api::Snapshot::REBUILDING:
      return "rebuilding";
    default:
      return "unknown";
  }
}

SnapshotView FromApi(const api::Snapshot& in) {
  SnapshotView out;
  out.number = in.number();
  out.name = in.name();
  out.parent = in.parent();
  out.kind = KindText(in.kind());
  out.state = StateText(in.state());
  out.image = in.image();
  out.diff_id = in.diff_id();
  out.chain = in.chain();
  out.blob = in.blob();
  out.created_ns = in.created_ns();
  out.updated_ns = in.updated_ns();
  if (in.counted()) {
    out.usage = {static_cast<std::uint64_t>(in.bytes()), static_cast<std::uint64_t>(in.inodes())};
  }
  out.directory = in.directory();
  out.mounted = in.mounted();
  out.why = in.why();
  out.labels = {in.labels().begin(), in.labels().end()};
  return out;
}

}  // namespace

Result<DaemonStatus> AskStatus(const std::string& address) {
  ASSIGN_OR_RETURN(const std::unique_ptr<api::Admin::Stub> stub, Connect(address));
  grpc::ClientContext context;
  SetDeadline(context);
  api::StatusResponse said;
  const grpc::Status status = stub->Status(&context, {}, &said);
  if (!status.ok()) return Explain(status, address);
  return DaemonStatus{said.version(),     said.started_ns(), said.root(),
                      said.pool(),        said.pool_uuid(),  said.backend(),
                      said.why_no_pool(), said.containerd(), said.content()};
}

Result<std::vector<SnapshotView>> AskSnapshots(const std::string& address) {
  ASSIGN_OR_RETURN(const std::unique_ptr<api::Admin::Stub> stub, Connect(address));
  grpc::ClientContext context;
  SetDeadline(context);
  const auto reader = stub->List(&context, {});
  std::vector<SnapshotView> all;
  api::ListResponse said;
  while (reader->Read(&said)) {
    for (const api::Snapshot& one : said.snapshots()) all.push_back(FromApi(one));
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return Explain(status, address);
  return all;
}

std::string AdviceFor(const Status& status) {
  switch (status.code()) {
    case StatusCode::kUnavailable:
      return "systemctl start daxfs-snapshotter";
    case StatusCode::kUnimplemented:
      return "systemctl restart daxfs-snapshotter";
    case StatusCode::kPermissionDenied:
      return "run this as root";
    default:
      return "journalctl -u daxfs-snapshotter";
  }
}

}  // namespace daxfs::tools
