// SPDX-License-Identifier: Apache-2.0
#include "common/rpc/server.hpp"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

#include "common/os/testing/scratch.hpp"
#include "common/rpc/call.hpp"
#include "common/rpc/client.hpp"
#include "services/snapshots/v1/snapshots.grpc.pb.h"

namespace daxfs::rpc {
namespace {

namespace api = ::containerd::services::snapshots::v1;

class Seen final : public CallObserver {
 public:
  void Ended(std::string_view method, std::string_view subject, const Status& status,
             std::chrono::nanoseconds /*took*/) override {
    last = std::string(method) + " " + std::string(subject) + " " + status.ToString();
  }
  std::string last;
};

// Stat answers by the key: an error's number, "throw", or "wait" until it is cancelled.
class Service final : public api::Snapshots::Service {
 public:
  grpc::Status Stat(grpc::ServerContext* context, const api::StatSnapshotRequest* request,
                    api::StatSnapshotResponse* response) override {
    return RunCall("Stat", request->key(), seen, [&]() -> Status {
      if (request->key() == "throw") throw std::runtime_error("a library's");
      if (request->key() == "wait") {
        waiting.set_value();
        while (!context->IsCancelled()) std::this_thread::yield();
        return CancelledError("given up");
      }
      if (const int code = std::stoi(request->key()); code != 0) {
        return {static_cast<StatusCode>(code), "because"};
      }
      response->mutable_info()->set_name("found");
      return Status::Ok();
    });
  }
  Seen seen;
  std::promise<void> waiting;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() : log_(sink_, {}) {
    Result<os::UniqueFd> listener = os::ListenUnix(path_);
    EXPECT_TRUE(listener.ok()) << listener.status().message();
    Result<std::unique_ptr<Server>> server = Server::Start(*std::move(listener), {&service_}, log_);
    EXPECT_TRUE(server.ok());
    server_ = *std::move(server);
    stub_ = api::Snapshots::NewStub(
        grpc::CreateChannel("unix:" + path_, grpc::InsecureChannelCredentials()));
  }
  grpc::Status Stat(const std::string& key) {
    grpc::ClientContext context;
    api::StatSnapshotRequest request;
    request.set_key(key);
    return stub_->Stat(&context, request, &response_);
  }

  os::testing::Scratch scratch_;
  const std::string path_ = scratch_.Path("socket");
  base::StderrSink sink_;
  base::Logger log_;
  Service service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<api::Snapshots::Stub> stub_;
  api::StatSnapshotResponse response_;
};

TEST_F(ServerTest, CompressedMessagesAreNotTaken) {
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  api::StatSnapshotRequest request;
  request.set_key(std::string(64 << 10, '0'));
  EXPECT_FALSE(stub_->Stat(&context, request, &response_).ok());
  EXPECT_EQ(service_.seen.last, "");
  EXPECT_TRUE(Stat("0").ok());
}

TEST(Headers, AreText) {
  EXPECT_TRUE(IsHeaderText("k8s.io"));
  for (const char* wrong : {"a\x01", "\xc3\xa9", "a\x7f", "\t"}) EXPECT_FALSE(IsHeaderText(wrong));
}

TEST_F(ServerTest, AnswersCalls) {
  EXPECT_TRUE(Stat("0").ok());
  EXPECT_EQ(response_.info().name(), "found");
  EXPECT_EQ(service_.seen.last, "Stat 0 OK");
}

TEST_F(ServerTest, EveryCodePassesInBothDirections) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status = Stat(std::to_string(code));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "because");
    EXPECT_EQ(static_cast<int>(FromGrpc(status).code()), code);
  }
}

TEST_F(ServerTest, AnExceptionOfALibraryEndsTheCallAlone) {
  const grpc::Status status = Stat("throw");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message(), "Stat: a library's");
  EXPECT_TRUE(Stat("0").ok());
}

TEST_F(ServerTest, StopCancelsWhatRunsWhenItsTimeIsOver) {
  std::future<void> waiting = service_.waiting.get_future();
  std::thread client([&] { EXPECT_FALSE(Stat("wait").ok()); });
  waiting.wait();
  server_->Stop(std::chrono::milliseconds(1));
  client.join();
  EXPECT_EQ(service_.seen.last, "Stat wait CANCELLED: given up");
}

TEST_F(ServerTest, ASecondServerIsRefusedUntilTheFirstHasGone) {
  EXPECT_EQ(os::ListenUnix(path_).status().code(), StatusCode::kAlreadyExists);
  EXPECT_TRUE(Dial(path_).ok());
  server_.reset();
  EXPECT_EQ(Dial(path_).status().error_number(), ECONNREFUSED);
  EXPECT_TRUE(os::ListenUnix(path_).ok());
}

TEST(ListenUnix, RefusesWhatIsNoSocketAndPathsThatAreTooLong) {
  os::testing::Scratch scratch;
  os::testing::WriteFile(scratch.Path("file"), "mine");
  EXPECT_EQ(os::ListenUnix(scratch.Path("file")).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(os::testing::ReadFile(scratch.Path("file")), "mine");
  EXPECT_EQ(Dial(scratch.Path("file")).status().error_number(), ECONNREFUSED);
  EXPECT_EQ(Dial(scratch.Path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(os::ListenUnix(scratch.Path(std::string(200, 'x'))).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Dial(scratch.Path(std::string(200, 'x'))).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace daxfs::rpc
