// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "common/containerd/content.hpp"
#include "common/os/testing/scratch.hpp"
#include "common/os/unix_socket.hpp"
#include "common/rpc/server.hpp"
#include "services/content/v1/content.grpc.pb.h"

namespace daxfs::containerd {
namespace {

namespace api = ::containerd::services::content::v1;

// Has one blob, of three bytes.
class Service final : public api::Content::Service {
 public:
  grpc::Status Read(grpc::ServerContext* context, const api::ReadContentRequest* request,
                    grpc::ServerWriter<api::ReadContentResponse>* writer) override {
    digest = request->digest();
    while (says_nothing && !context->IsCancelled()) std::this_thread::yield();
    has_deadline = context->deadline() < std::chrono::system_clock::now() + std::chrono::hours(1);
    api::ReadContentResponse response;
    response.set_data("abc");
    writer->Write(response);
    return grpc::Status::OK;
  }
  std::string digest;
  std::atomic<bool> says_nothing = false;
  bool has_deadline = false;
};

class ContentClientTest : public testing::Test {
 protected:
  Result<std::string> Read() {
    ASSIGN_OR_RETURN(const std::unique_ptr<oci::ByteReader> stored, content_->Open(blob_, "n"));
    std::array<std::byte, 8> bytes{};
    ASSIGN_OR_RETURN(const std::size_t n, stored->Read(bytes));
    std::string text;
    for (std::size_t i = 0; i < n; ++i) text += static_cast<char>(bytes.at(i));
    return text;
  }
  const os::testing::Scratch scratch_;
  std::unique_ptr<Content> content_ = ContentOverRpc(scratch_.Path("socket"));
  const Blob blob_ = {"", {}, 3};
  base::StderrSink sink_;
  base::Logger log_{sink_, {base::LogLevel::kError}};
};

TEST_F(ContentClientTest, WhoSaysNothingIsNotWaitedForForEver) {
  Service service;
  service.says_nothing = true;
  const std::unique_ptr<rpc::Server> server =
      *rpc::Server::Start(*os::ListenUnix(scratch_.Path("socket")), {&service}, log_);
  content_ = ContentOverRpc(scratch_.Path("socket"), std::chrono::milliseconds(50));
  EXPECT_EQ(Read().status().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(ContentClientTest, WhatIsCancelledDoesNotWait) {
  Service service;
  service.says_nothing = true;
  const std::unique_ptr<rpc::Server> server =
      *rpc::Server::Start(*os::ListenUnix(scratch_.Path("socket")), {&service}, log_);
  const auto begin = std::chrono::steady_clock::now();
  const auto soon = begin + std::chrono::milliseconds(200);
  content_ = ContentOverRpc(scratch_.Path("socket"), std::chrono::seconds(60),
                            [=] { return std::chrono::steady_clock::now() > soon; });
  EXPECT_EQ(Read().status().code(), StatusCode::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST_F(ContentClientTest, ContainerdThatIsThereAgainAnswersAtOnce) {
  EXPECT_EQ(Read().status().code(), StatusCode::kUnavailable);
  for (int start = 0; start < 2; ++start) {
    Service service;
    std::unique_ptr<rpc::Server> server =
        *rpc::Server::Start(*os::ListenUnix(scratch_.Path("socket")), {&service}, log_);
    const Result<std::string> read = Read();
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(*read, "abc");
    EXPECT_EQ(service.digest, blob_.digest.ToString());
    EXPECT_TRUE(service.has_deadline);
    server.reset();
    EXPECT_EQ(Read().status().code(), StatusCode::kUnavailable);
  }
}

}  // namespace
}  // namespace daxfs::containerd
