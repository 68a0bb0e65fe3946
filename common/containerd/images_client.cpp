// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "common/containerd/images.hpp"
#include "common/rpc/call.hpp"
#include "common/rpc/cancel_when.hpp"
#include "common/rpc/client.hpp"
#include "services/images/v1/images.grpc.pb.h"
#include "services/namespaces/v1/namespace.grpc.pb.h"

namespace daxfs::containerd {
namespace {

namespace images_api = ::containerd::services::images::v1;
namespace namespaces_api = ::containerd::services::namespaces::v1;

constexpr std::chrono::seconds kPatience{10};

class OverRpc final : public NamedImages {
 public:
  OverRpc(std::string address, std::function<bool()> cancelled)
      : address_(std::move(address)), cancelled_(std::move(cancelled)) {}

  Result<std::vector<NamedImage>> List() override {
    ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect());
    const auto namespaces = namespaces_api::Namespaces::NewStub(channel);
    const auto images = images_api::Images::NewStub(channel);
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

  Result<NamedImage> Find(const std::string& name_space, const std::string& name) override {
    if (!rpc::IsHeaderText(name_space)) return NotFoundError("no such namespace");
    ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect());
    const auto images = images_api::Images::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.AddMetadata("containerd-namespace", name_space);
    const rpc::CancelWhen cancel(context, cancelled_);
    images_api::GetImageRequest request;
    request.set_name(name);
    images_api::GetImageResponse response;
    const grpc::Status answer = images->Get(&context, request, &response);
    if (!answer.ok() && cancelled_ && cancelled_()) return CancelledError("interrupted");
    RETURN_IF_ERROR(rpc::FromGrpc(answer).WithContext("containerd"));
    std::optional<NamedImage> image = Take(name_space, response.image());
    if (image) return *std::move(image);
    return NotFoundError("containerd: image \"" + name + "\" is of no kind that has layers");
  }

 private:
  // Each time: after a failure gRPC would wait, while containerd may be there again.
  Result<std::shared_ptr<grpc::Channel>> Connect() const {
    Result<std::shared_ptr<grpc::Channel>> channel = rpc::Dial(address_);
    if (channel.ok()) return channel;
    return UnavailableError("containerd: " + channel.status().message());
  }

  static std::optional<NamedImage> Take(const std::string& name_space,
                                        const images_api::Image& image) {
    const Result<oci::Digest> digest = oci::Digest::Parse(image.target().digest());
    if (!digest.ok() || image.target().size() < 0) return std::nullopt;  // of no kind with layers
    return NamedImage{name_space, image.name(),
                      Blob{image.target().media_type(), *digest,
                           static_cast<std::uint64_t>(image.target().size())}};
  }

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
      std::optional<NamedImage> taken = Take(name_space, image);
      if (taken) found->push_back(*std::move(taken));
    }
    return Status::Ok();
  }

  const std::string address_;
  const std::function<bool()> cancelled_;
};

}  // namespace

std::unique_ptr<NamedImages> NamedImagesOverRpc(const std::string& address,
                                                std::function<bool()> cancelled) {
  return std::make_unique<OverRpc>(address, std::move(cancelled));
}

}  // namespace daxfs::containerd
