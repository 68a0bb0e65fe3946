// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/rpc/call.hpp"
#include "services/content/v1/content.grpc.pb.h"
#include "snapshotter/content.hpp"

namespace daxfs::snapshotter {
namespace {

namespace api = containerd::services::content::v1;

constexpr int kMessageMaxBytes = 16 << 20;

// One Read call.
class Stream final : public oci::ByteReader {
 public:
  Stream(std::shared_ptr<api::Content::Stub> stub, const Blob& blob, const std::string& name_space)
      : stub_(std::move(stub)) {
    context_.AddMetadata("containerd-namespace", name_space);
    api::ReadContentRequest request;
    request.set_digest(blob.digest.ToString());
    call_ = stub_->Read(&context_, request);
  }
  ~Stream() override { context_.TryCancel(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Result<std::size_t> Read(std::span<std::byte> out) override {
    while (taken_ == response_.data().size()) {
      if (ended_) return std::size_t{0};
      taken_ = 0;
      if (call_->Read(&response_)) continue;
      ended_ = true;
      response_.Clear();
      RETURN_IF_ERROR(rpc::FromGrpc(call_->Finish()).WithContext("containerd's content store"));
    }
    const std::size_t n = std::min(out.size(), response_.data().size() - taken_);
    std::memcpy(out.data(), response_.data().data() + taken_, n);
    taken_ += n;
    return n;
  }

 private:
  const std::shared_ptr<api::Content::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<api::ReadContentResponse>> call_;
  api::ReadContentResponse response_;
  std::size_t taken_ = 0;  // of response_
  bool ended_ = false;
};

class OverRpc final : public Content {
 public:
  explicit OverRpc(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMessageMaxBytes);
    stub_ = api::Content::NewStub(grpc::CreateCustomChannel(
        "unix:" + address, grpc::InsecureChannelCredentials(), arguments));
  }

  Result<std::unique_ptr<oci::ByteReader>> Open(const Blob& blob,
                                                const std::string& name_space) override {
    return std::unique_ptr<oci::ByteReader>(std::make_unique<Stream>(stub_, blob, name_space));
  }

 private:
  std::shared_ptr<api::Content::Stub> stub_;
};

}  // namespace

std::unique_ptr<Content> ContentOverRpc(const std::string& address) {
  return std::make_unique<OverRpc>(address);
}

}  // namespace daxfs::snapshotter
