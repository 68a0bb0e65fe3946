// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <utility>

#include "common/rpc/call.hpp"
#include "common/rpc/client.hpp"
#include "services/images/v1/images.grpc.pb.h"
#include "services/namespaces/v1/namespace.grpc.pb.h"
#include "snapshotter/catalog.hpp"

namespace daxfs::snapshotter {
namespace {

namespace images_api = containerd::services::images::v1;
namespace namespaces_api = containerd::services::namespaces::v1;

constexpr std::chrono::seconds kPatience{10};

class OverRpc final : public NamedImages {
 public:
  explicit OverRpc(std::string address) : address_(std::move(address)) {}

  // Connects each time: after a failure gRPC would wait, while containerd may be there again.
  Result<std::vector<NamedImage>> List() override {
    const Result<std::shared_ptr<grpc::Channel>> channel = rpc::Dial(address_);
    if (!channel.ok()) return UnavailableError("containerd: " + channel.status().message());
    const auto namespaces = namespaces_api::Namespaces::NewStub(*channel);
    const auto images = images_api::Images::NewStub(*channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    namespaces_api::ListNamespacesResponse spaces;
    RETURN_IF_ERROR(rpc::FromGrpc(namespaces->List(&context, {}, &spaces))
                        .WithContext("containerd's namespaces"));
    std::vector<NamedImage> found;
    for (const auto& space : spaces.namespaces()) {
      RETURN_IF_ERROR(AddOf(*images, space.name(), &found));
    }
    return found;
  }

 private:
  static Status AddOf(images_api::Images::Stub& stub, const std::string& name_space,
                      std::vector<NamedImage>* found) {
    if (!rpc::IsHeaderText(name_space)) return Status::Ok();  // cannot be asked for
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.AddMetadata("containerd-namespace", name_space);
    images_api::ListImagesResponse images;
    RETURN_IF_ERROR(rpc::FromGrpc(stub.List(&context, {}, &images))
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

  const std::string address_;
};

}  // namespace

std::unique_ptr<NamedImages> NamedImagesOverRpc(const std::string& address) {
  return std::make_unique<OverRpc>(address);
}

}  // namespace daxfs::snapshotter
