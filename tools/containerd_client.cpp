// SPDX-License-Identifier: Apache-2.0
#include "tools/containerd_client.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

#include "common/rpc/call.hpp"
#include "common/rpc/client.hpp"
#include "containerd/introspection.grpc.pb.h"
#include "services/content/v1/content.grpc.pb.h"
#include "services/images/v1/images.grpc.pb.h"
#include "services/version/v1/version.grpc.pb.h"

namespace daxfs::tools {
namespace {

namespace services = ::containerd::services;

constexpr std::chrono::seconds kPatience{10};
constexpr const char* kNamespace = "k8s.io";
// Labels by which containerd's collector keeps what belongs together.
constexpr const char* kContentLabel = "containerd.io/gc.ref.content.";
constexpr const char* kSnapshotLabel = "containerd.io/gc.ref.snapshot.";
// An index, a manifest, a configuration, and room for one more.
constexpr int kDepth = 4;
// What an image of a hundred platforms has.
constexpr std::size_t kBlobs = 1000;

Result<std::shared_ptr<grpc::Channel>> Connect(const std::string& address) {
  Result<std::shared_ptr<grpc::Channel>> channel = rpc::Dial(address);
  const StatusCode code = channel.status().code();
  if (code != StatusCode::kNotFound && code != StatusCode::kUnavailable) return channel;
  return Status(StatusCode::kUnavailable, channel.status().message());
}

// A call in a namespace that ends.
struct Call {
  Call() {
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.AddMetadata("containerd-namespace", kNamespace);
  }
  grpc::ClientContext context;
};

// Whether a blob, or what it refers to, keeps a snapshot of that label.
class Search {
 public:
  Search(services::content::v1::Content::Stub& content, std::string label)
      : content_(content), label_(std::move(label)) {}

  Result<bool> From(const std::string& digest, int depth) {
    if (depth == 0 || ++asked_ > kBlobs) return false;
    Call call;
    services::content::v1::InfoRequest request;
    services::content::v1::InfoResponse response;
    request.set_digest(digest);
    const Status said = rpc::FromGrpc(content_.Info(&call.context, request, &response));
    if (said.code() == StatusCode::kNotFound) return false;  // of another platform
    RETURN_IF_ERROR(said);
    const auto& labels = response.info().labels();
    if (labels.contains(label_)) return true;
    for (const auto& [key, value] : labels) {
      if (!key.starts_with(kContentLabel)) continue;
      ASSIGN_OR_RETURN(const bool found, From(value, depth - 1));
      if (found) return true;
    }
    return false;
  }

 private:
  services::content::v1::Content::Stub& content_;
  const std::string label_;
  std::size_t asked_ = 0;
};

}  // namespace

Result<ContainerdFacts> AskContainerd(const std::string& address) {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect(address));
  ContainerdFacts facts;
  {
    Call call;
    services::version::v1::VersionResponse said;
    const auto stub = services::version::v1::Version::NewStub(channel);
    RETURN_IF_ERROR(rpc::FromGrpc(stub->Version(&call.context, {}, &said)).WithContext(address));
    facts.version = said.version();
  }
  Call call;
  services::introspection::v1::PluginsResponse said;
  const auto stub = services::introspection::v1::Introspection::NewStub(channel);
  RETURN_IF_ERROR(rpc::FromGrpc(stub->Plugins(&call.context, {}, &said)).WithContext(address));
  for (const services::introspection::v1::Plugin& one : said.plugins()) {
    facts.plugins.push_back({one.type(), one.id(), one.init_err().message()});
  }
  return facts;
}

Result<SandboxFacts> AskSandbox(const std::string& address, const std::string& name,
                                const std::string& snapshotter) {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect(address));
  SandboxFacts facts;
  services::images::v1::GetImageResponse image;
  {
    Call call;
    services::images::v1::GetImageRequest request;
    request.set_name(name);
    const auto stub = services::images::v1::Images::NewStub(channel);
    const Status said = rpc::FromGrpc(stub->Get(&call.context, request, &image));
    if (said.code() == StatusCode::kNotFound) return facts;
    RETURN_IF_ERROR(said.WithContext(address));
  }
  facts.present = true;
  const auto& labels = image.image().labels();
  const auto pinned = labels.find("io.cri-containerd.pinned");
  facts.pinned = pinned != labels.end() && pinned->second == "pinned";
  const auto content = services::content::v1::Content::NewStub(channel);
  Search search(*content, kSnapshotLabel + snapshotter);
  ASSIGN_OR_RETURN(facts.unpacked, search.From(image.image().target().digest(), kDepth));
  return facts;
}

}  // namespace daxfs::tools
