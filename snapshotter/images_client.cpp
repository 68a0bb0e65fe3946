// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <utility>

#include "common/rpc/call.hpp"
#include "services/images/v1/images.grpc.pb.h"
#include "services/namespaces/v1/namespace.grpc.pb.h"
#include "snapshotter/catalog.hpp"

namespace daxfs::snapshotter {
namespace {

namespace images_api = containerd::services::images::v1;
namespace namespaces_api = containerd::services::namespaces::v1;

constexpr std::chrono::seconds kPatience{10};
constexpr int kMessageMaxBytes = 16 << 20;

class OverRpc final : public NamedImages {
 public:
  explicit OverRpc(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMessageMaxBytes);
    const std::shared_ptr<grpc::Channel> channel =
        grpc::CreateCustomChannel("unix:" + address, grpc::InsecureChannelCredentials(), arguments);
    images_ = images_api::Images::NewStub(channel);
    namespaces_ = namespaces_api::Namespaces::NewStub(channel);
  }

  Result<std::vector<NamedImage>> List() override {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    namespaces_api::ListNamespacesResponse spaces;
    RETURN_IF_ERROR(rpc::FromGrpc(namespaces_->List(&context, {}, &spaces))
                        .WithContext("containerd's namespaces"));
    std::vector<NamedImage> found;
    for (const auto& space : spaces.namespaces()) RETURN_IF_ERROR(AddOf(space.name(), &found));
    return found;
  }

 private:
  Status AddOf(const std::string& name_space, std::vector<NamedImage>* found) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.AddMetadata("containerd-namespace", name_space);
    images_api::ListImagesResponse images;
    RETURN_IF_ERROR(rpc::FromGrpc(images_->List(&context, {}, &images))
                        .WithContext("containerd's images of namespace " + name_space));
    for (const auto& image : images.images()) {
      const Result<oci::Digest> digest = oci::Digest::Parse(image.target().digest());
      if (!digest.ok() || image.target().size() < 0) continue;  // of no kind that has layers
      found->push_back({name_space, image.name(),
                        Blob{image.target().media_type(), *digest,
                             static_cast<std::uint64_t>(image.target().size())}});
    }
    return Status::Ok();
  }

  std::unique_ptr<images_api::Images::Stub> images_;
  std::unique_ptr<namespaces_api::Namespaces::Stub> namespaces_;
};

}  // namespace

std::unique_ptr<NamedImages> NamedImagesOverRpc(const std::string& address) {
  return std::make_unique<OverRpc>(address);
}

}  // namespace daxfs::snapshotter
