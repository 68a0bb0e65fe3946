// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "common/rpc/call.hpp"
#include "common/rpc/client.hpp"
#include "services/content/v1/content.grpc.pb.h"
#include "snapshotter/content.hpp"

namespace daxfs::snapshotter {
namespace {

namespace api = containerd::services::content::v1;

constexpr std::chrono::seconds kPatience{30};
constexpr std::uint64_t kSlowestBytesPerSecond = 64U << 10U;
constexpr std::uint64_t kLongestSeconds = 24U * 60U * 60U;

std::chrono::seconds TimeFor(const Blob& blob) {
  const std::uint64_t seconds = std::min(blob.size_bytes / kSlowestBytesPerSecond, kLongestSeconds);
  return kPatience + std::chrono::seconds(seconds);
}

// One Read call.
class Stream final : public oci::ByteReader {
 public:
  Stream(std::unique_ptr<api::Content::Stub> stub, const Blob& blob, const std::string& name_space)
      : stub_(std::move(stub)) {
    context_.set_deadline(std::chrono::system_clock::now() + TimeFor(blob));
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
  const std::unique_ptr<api::Content::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<api::ReadContentResponse>> call_;
  api::ReadContentResponse response_;
  std::size_t taken_ = 0;  // of response_
  bool ended_ = false;
};

class OverRpc final : public Content {
 public:
  explicit OverRpc(std::string address) : address_(std::move(address)) {}

  // Connects each time: after a failure gRPC would wait, while containerd may be there again.
  Result<std::unique_ptr<oci::ByteReader>> Open(const Blob& blob,
                                                const std::string& name_space) override {
    const Result<std::shared_ptr<grpc::Channel>> channel = rpc::Dial(address_);
    if (!channel.ok()) return UnavailableError("containerd: " + channel.status().message());
    return std::unique_ptr<oci::ByteReader>(
        std::make_unique<Stream>(api::Content::NewStub(*channel), blob, name_space));
  }

 private:
  const std::string address_;
};

}  // namespace

std::unique_ptr<Content> ContentOverRpc(const std::string& address) {
  return std::make_unique<OverRpc>(address);
}

}  // namespace daxfs::snapshotter
