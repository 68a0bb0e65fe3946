// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <utility>

#include "common/containerd/content.hpp"
#include "common/rpc/call.hpp"
#include "common/rpc/cancel_when.hpp"
#include "common/rpc/client.hpp"
#include "services/content/v1/content.grpc.pb.h"

namespace daxfs::containerd {
namespace {

namespace api = ::containerd::services::content::v1;

constexpr std::chrono::seconds kPatience{30};
constexpr std::uint64_t kSlowestBytesPerSecond = 64U << 10U;
constexpr std::uint64_t kLongestSeconds = 24U * 60U * 60U;

std::chrono::seconds TimeFor(const Blob& blob) {
  const std::uint64_t seconds = std::min(blob.size_bytes / kSlowestBytesPerSecond, kLongestSeconds);
  return kPatience + std::chrono::seconds(seconds);
}

// One Read call. Whoever waits for it does not wait for ever: gRPC's calls that wait have no limit
// of their own.
class Stream final : public oci::ByteReader {
 public:
  Stream(std::unique_ptr<api::Content::Stub> stub, const Blob& blob, const std::string& name_space,
         std::chrono::milliseconds patience, std::function<bool()> cancelled)
      : stub_(std::move(stub)),
        patience_(patience),
        cancelled_(std::move(cancelled)),
        cancel_(context_, cancelled_) {
    context_.set_deadline(std::chrono::system_clock::now() + TimeFor(blob));
    context_.AddMetadata("containerd-namespace", name_space);
    api::ReadContentRequest request;
    request.set_digest(blob.digest.ToString());
    call_ = stub_->AsyncRead(&context_, request, &queue_, nullptr);
    underway_ = true;
  }
  ~Stream() override {
    context_.TryCancel();
    Ended();
    queue_.Shutdown();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Result<std::size_t> Read(std::span<std::byte> out) override {
    while (taken_ == response_.data().size()) {
      if (ended_) return std::size_t{0};
      taken_ = 0;
      ASSIGN_OR_RETURN(const bool more, Next());
      if (more) continue;
      ended_ = true;
      response_.Clear();
      RETURN_IF_ERROR(Finish().WithContext("containerd's content store"));
    }
    const std::size_t n = std::min(out.size(), response_.data().size() - taken_);
    std::memcpy(out.data(), response_.data().data() + taken_, n);
    taken_ += n;
    return n;
  }

 private:
  // The next message, if there is one more.
  Result<bool> Next() {
    if (underway_) {
      ASSIGN_OR_RETURN(const bool started, Await());
      if (!started) return false;
    }
    call_->Read(&response_, nullptr);
    underway_ = true;
    return Await();
  }
  Status Finish() {
    grpc::Status status;
    call_->Finish(&status, nullptr);
    underway_ = true;
    RETURN_IF_ERROR(Await().status());
    if (!status.ok() && cancelled_ && cancelled_()) return CancelledError("interrupted");
    return rpc::FromGrpc(status);
  }
  // Whether what is under way has succeeded.
  Result<bool> Await() {
    void* tag = nullptr;
    bool succeeded = false;
    const auto end = std::chrono::system_clock::now() + patience_;
    const bool answered =
        queue_.AsyncNext(&tag, &succeeded, end) == grpc::CompletionQueue::GOT_EVENT;
    if (!answered) {
      context_.TryCancel();
      Ended();
      return Status(StatusCode::kDeadlineExceeded,
                    "containerd's content store says nothing any more");
    }
    underway_ = false;
    return succeeded;
  }
  // Of a call that was cancelled, which takes no time.
  void Ended() {
    void* tag = nullptr;
    bool succeeded = false;
    if (underway_) queue_.Next(&tag, &succeeded);
    underway_ = false;
  }

  const std::unique_ptr<api::Content::Stub> stub_;
  const std::chrono::milliseconds patience_;
  const std::function<bool()> cancelled_;
  grpc::ClientContext context_;
  rpc::CancelWhen cancel_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReader<api::ReadContentResponse>> call_;
  bool underway_ = false;  // an operation; there is one at a time
  api::ReadContentResponse response_;
  std::size_t taken_ = 0;  // of response_
  bool ended_ = false;
};

class OverRpc final : public Content {
 public:
  OverRpc(std::string address, std::chrono::milliseconds patience, std::function<bool()> cancelled)
      : address_(std::move(address)), patience_(patience), cancelled_(std::move(cancelled)) {}

  // Connects each time: after a failure gRPC would wait, while containerd may be there again.
  Result<std::unique_ptr<oci::ByteReader>> Open(const Blob& blob,
                                                const std::string& name_space) override {
    const Result<std::shared_ptr<grpc::Channel>> channel = rpc::Dial(address_);
    if (!channel.ok()) return UnavailableError("containerd: " + channel.status().message());
    return std::unique_ptr<oci::ByteReader>(std::make_unique<Stream>(
        api::Content::NewStub(*channel), blob, name_space, patience_, cancelled_));
  }

 private:
  const std::string address_;
  const std::chrono::milliseconds patience_;
  const std::function<bool()> cancelled_;
};

}  // namespace

std::unique_ptr<Content> ContentOverRpc(const std::string& address,
                                        std::chrono::milliseconds patience,
                                        std::function<bool()> cancelled) {
  return std::make_unique<OverRpc>(address, patience, std::move(cancelled));
}

}  // namespace daxfs::containerd
