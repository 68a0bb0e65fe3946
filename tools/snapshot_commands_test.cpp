// SPDX-License-Identifier: Apache-2.0
#include "tools/snapshot_commands.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "common/os/clock.hpp"
#include "common/os/testing/scratch.hpp"
#include "common/rpc/call.hpp"
#include "common/rpc/server.hpp"
#include "daxfs/snapshotter/v1/admin.grpc.pb.h"
#include "tools/snapshot_client.hpp"

namespace daxfs::tools {
namespace {

namespace api = daxfs::snapshotter::v1;
using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string Digest(char digit) { return "sha256:" + std::string(64, digit); }

// A daemon with these snapshots, one in each message.
class Daemon final : public api::Admin::Service {
 public:
  grpc::Status Status(grpc::ServerContext* /*context*/, const api::StatusRequest* /*request*/,
                      api::StatusResponse* response) override {
    *response = status;
    return grpc::Status::OK;
  }
  grpc::Status List(grpc::ServerContext* /*context*/, const api::ListRequest* /*request*/,
                    grpc::ServerWriter<api::ListResponse>* writer) override {
    for (const api::Snapshot& one : snapshots) {
      api::ListResponse response;
      *response.add_snapshots() = one;
      writer->Write(response);
    }
    return failure;
  }
  api::Snapshot& Add(api::Snapshot::Kind kind, api::Snapshot::State state, const std::string& name,
                     const std::string& parent) {
    api::Snapshot& one = snapshots.emplace_back();
    one.set_number(static_cast<std::int64_t>(snapshots.size()));
    one.set_name(name);
    one.set_parent(parent);
    one.set_kind(kind);
    one.set_state(state);
    return one;
  }
  std::vector<api::Snapshot> snapshots;
  api::StatusResponse status;
  grpc::Status failure;
};

// Of before there was anything to ask.
class OldDaemon final : public api::Admin::Service {};

class SnapshotCommandsTest : public testing::Test {
 protected:
  SnapshotCommandsTest() : log_(sink_, {}) { command_.address = scratch_.Path("socket"); }
  void Serve(grpc::Service& service) {
    server_ = *rpc::Server::Start(*os::ListenUnix(command_.address), {&service}, log_);
  }
  // Two layers, the upper one missing, and a container over them.
  void ServeThree() {
    api::Snapshot& base = daemon_.Add(api::Snapshot::COMMITTED, api::Snapshot::PLACED, "base", "");
    base.set_image(Digest('a'));
    base.set_diff_id(Digest('b'));
    base.set_counted(true);
    base.set_bytes(1 << 20);
    base.set_inodes(2);
    base.set_directory("/r/snapshots/1/fs");
    base.set_mounted(true);
    api::Snapshot& top =
        daemon_.Add(api::Snapshot::COMMITTED, api::Snapshot::MISSING, "top", "base");
    top.set_image(Digest('c'));
    top.set_directory("/r/snapshots/2/fs");
    api::Snapshot& container =
        daemon_.Add(api::Snapshot::ACTIVE, api::Snapshot::DIRECTORY, "k8s.io/3/x\x1b", "top");
    container.set_created_ns(1000000001);
    container.mutable_labels()->insert({{"b", "2"}, {"a", "1"}});
    container.set_directory("/r/snapshots/3/fs");
    Serve(daemon_);
  }
  Status Run(Status (*command)(const SnapshotCommand&, Context&)) {
    said_.clear();
    const std::atomic<bool> never{false};
    os::TerminalBar bar;
    const os::SteadyClock clock;
    os::Progress progress(log_, bar, clock, never, {false, true});
    Context context{[this](std::string_view text) {
                      said_ += text;
                      return Status::Ok();
                    },
                    progress, log_};
    return command(command_, context);
  }
  std::vector<Json> Lines() {
    std::vector<Json> lines;
    std::istringstream text(said_);
    for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  std::vector<std::int64_t> Numbers() {
    command_.json = true;
    EXPECT_TRUE(Run(ListSnapshots).ok());
    std::vector<std::int64_t> numbers;
    for (const Json& line : Lines()) numbers.push_back(line["number"]);
    return numbers;
  }

  os::testing::Scratch scratch_;
  base::StderrSink sink_;
  base::Logger log_;
  Daemon daemon_;
  std::unique_ptr<rpc::Server> server_;
  SnapshotCommand command_;
  std::string said_;
};

TEST_F(SnapshotCommandsTest, ListIsATable) {
  ServeThree();
  ASSERT_TRUE(Run(ListSnapshots).ok());
  EXPECT_EQ(said_,
            "NUMBER  KIND       STATE            SIZE  PARENT  KEY\n"
            "     1  committed  placed        1.0 MiB       -  base\n"
            "     2  committed  missing             -       1  top\n"
            "     3  active     directory           -       2  k8s.io/3/x\\x1b\n");
}

TEST_F(SnapshotCommandsTest, NothingADaemonSaysCommandsTheTerminal) {
  const std::string evil = "e\x1b[2J\n";
  api::Snapshot& one = daemon_.Add(api::Snapshot::ACTIVE, api::Snapshot::PLACED, evil, "");
  one.set_parent(evil);
  one.set_image(evil);
  one.set_diff_id(evil);
  one.set_chain(evil);
  one.set_blob(evil);
  one.set_directory(evil);
  one.mutable_labels()->insert({{evil, evil}});
  Serve(daemon_);
  command_.key = "1";
  for (const auto command : {ListSnapshots, ShowSnapshot}) {
    ASSERT_TRUE(Run(command).ok());
    EXPECT_THAT(said_, Not(HasSubstr("\x1b")));
    EXPECT_THAT(said_, Not(HasSubstr("[2J\n")));
  }
}

TEST_F(SnapshotCommandsTest, FiltersChoose) {
  ServeThree();
  EXPECT_THAT(Numbers(), ElementsAre(1, 2, 3));
  command_.kind = "committed";
  EXPECT_THAT(Numbers(), ElementsAre(1, 2));
  command_.missing = true;
  EXPECT_THAT(Numbers(), ElementsAre(2));
  command_.kind = "view";
  EXPECT_THAT(Numbers(), IsEmpty());
}

TEST_F(SnapshotCommandsTest, InfoShowsTheWholeChain) {
  ServeThree();
  for (const char* key : {"3", "k8s.io/3/x\x1b"}) {
    command_.key = key;
    command_.json = false;
    ASSERT_TRUE(Run(ShowSnapshot).ok());
    for (const char* part :
         {"key         k8s.io/3/x\\x1b\n", "made        1970-01-01T00:00:01.000000001Z\n",
          "label       a=1\nlabel       b=2\n", "\n3 layers, the uppermost first:\n"}) {
      EXPECT_THAT(said_, HasSubstr(part));
    }
    EXPECT_THAT(said_, HasSubstr("     1  placed       1.0 MiB  " + Digest('a') +
                                 "  yes      /r/snapshots/1/fs\n"));
    command_.json = true;
    ASSERT_TRUE(Run(ShowSnapshot).ok());
    const Json json = Lines().at(0);
    EXPECT_EQ(json["labels"], (Json{{"a", "1"}, {"b", "2"}}));
    ASSERT_EQ(json["layers"].size(), 3U);
    EXPECT_EQ(json["layers"][1]["state"], "missing");
    EXPECT_EQ(json["layers"][2]["size_bytes"], 1 << 20);
    EXPECT_EQ(json["layers"][2]["diff_id"], Digest('b'));
    EXPECT_TRUE(json["size_bytes"].is_null());
  }
}

TEST_F(SnapshotCommandsTest, AKeyWinsOverANumber) {
  daemon_.Add(api::Snapshot::ACTIVE, api::Snapshot::DIRECTORY, "2", "");
  daemon_.Add(api::Snapshot::ACTIVE, api::Snapshot::DIRECTORY, "other", "");
  Serve(daemon_);
  command_.json = true;
  command_.key = "2";
  ASSERT_TRUE(Run(ShowSnapshot).ok());
  EXPECT_EQ(Lines().at(0)["number"], 1);
}

TEST_F(SnapshotCommandsTest, AListWithAHoleEnds) {
  daemon_.Add(api::Snapshot::ACTIVE, api::Snapshot::DIRECTORY, "a", "gone");
  daemon_.Add(api::Snapshot::ACTIVE, api::Snapshot::DIRECTORY, "b", "b");
  Serve(daemon_);
  command_.json = true;
  for (const auto& [key, layers] : {std::pair("a", 1U), std::pair("b", 3U)}) {
    command_.key = key;
    ASSERT_TRUE(Run(ShowSnapshot).ok());
    EXPECT_EQ(Lines().at(0)["layers"].size(), layers);
  }
}

TEST_F(SnapshotCommandsTest, WhatFailsSaysWhatToDo) {
  command_.key = "nobody\n";
  Status status = Run(ListSnapshots);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("systemctl start daxfs-snapshotter"));
  EXPECT_THAT(status.message(), HasSubstr("answers: " + command_.address + ": No such file"));
  {
    OldDaemon old;
    Serve(old);
    status = Run(ListSnapshots);
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
    EXPECT_THAT(status.message(), HasSubstr("systemctl restart daxfs-snapshotter"));
    EXPECT_EQ(AskStatus(command_.address).status().code(), StatusCode::kUnimplemented);
    server_.reset();
  }
  EXPECT_THAT(Run(ListSnapshots).message(), HasSubstr("Connection refused"));
  ServeThree();
  status = Run(ShowSnapshot);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(),
              HasSubstr("\"nobody\\x0a\"; those there are: daxfsctl snapshot ls"));
  daemon_.failure = {grpc::StatusCode::DATA_LOSS, "the database is damaged"};
  EXPECT_EQ(Run(ListSnapshots).code(), StatusCode::kDataLoss);
  EXPECT_EQ(said_, "");
}

TEST_F(SnapshotCommandsTest, StatusIsTaken) {
  daemon_.status.set_version("9");
  daemon_.status.set_why_no_pool("no");
  Serve(daemon_);
  const Result<DaemonStatus> status = AskStatus(command_.address);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->version + status->why_no_pool, "9no");
}

}  // namespace
}  // namespace daxfs::tools
