// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/admin_service.hpp"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/os/testing/scratch.hpp"
#include "common/rpc/server.hpp"
#include "daxfs/snapshotter/v1/admin.grpc.pb.h"
#include "snapshotter/no_images.hpp"

namespace daxfs::snapshotter {
namespace {

namespace api = daxfs::snapshotter::v1;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

oci::Digest Numbered(unsigned char number) {
  oci::Digest digest;
  digest.bytes.fill(static_cast<std::byte>(number));
  return digest;
}

// Images are there or not; one that is not is placed again when that is allowed.
class FewImages final : public NoImages {
 public:
  Result<bool> IsPlaced(const LayerImage& image) override {
    RETURN_IF_ERROR(fails);
    const std::lock_guard lock(mutex_);
    return placed_.contains(image.root);
  }
  Status Hold(const LayerImage& image, const std::string& /*holder*/) override {
    const std::lock_guard lock(mutex_);
    return placed_.contains(image.root) ? Status::Ok() : NotFoundError("it is gone");
  }
  std::uint64_t Joined() override { return joined; }
  Result<LayerImage> Restore(const LayerImage& image, const std::string& /*holder*/,
                             const std::vector<std::string>& /*below*/,
                             const std::function<bool()>& /*cancelled*/) override {
    allowed.get_future().wait();
    Place(image.root);
    return image;
  }
  void Place(const oci::Digest& root) {
    const std::lock_guard lock(mutex_);
    placed_.insert(root);
  }
  void Lose(const oci::Digest& root) {
    const std::lock_guard lock(mutex_);
    placed_.erase(root);
  }
  Result<Usage> Measure(const LayerImage& /*image*/) override { return Usage{77, 3}; }
  Status Mount(const LayerImage& /*image*/, const std::string& /*path*/) override {
    return Status::Ok();
  }

  std::promise<void> allowed;
  std::atomic<std::uint64_t> joined = 0;
  Status fails;

 private:
  std::mutex mutex_;
  std::set<oci::Digest> placed_;
};

class Deaf final : public rpc::CallObserver {
 public:
  void Ended(std::string_view /*method*/, std::string_view /*subject*/, const Status& /*status*/,
             std::chrono::nanoseconds /*took*/) override {}
};

class AdminServiceTest : public testing::Test {
 protected:
  AdminServiceTest() : log_(sink_, {base::LogLevel::kError}) {
    snapshotter_ = *Snapshotter::Open({scratch_.Path("root"), {}}, images_, log_);
    service_ = MakeAdminService(
        *snapshotter_, [this] { return standing_; }, deaf_);
    server_ = *rpc::Server::Start(*os::ListenUnix(scratch_.Path("socket")), {service_.get()}, log_);
    stub_ = api::Admin::NewStub(
        grpc::CreateChannel("unix:" + scratch_.Path("socket"), grpc::InsecureChannelCredentials()));
  }

  // A committed layer of the image whose root has that number.
  void AddLayer(unsigned char number, const std::string& name, const std::string& parent) {
    const auto mounts = snapshotter_->Prepare("extract", parent, {});
    ASSERT_TRUE(mounts.ok()) << mounts.status().message();
    const Result<Snapshot> target = snapshotter_->FindTarget(*mounts);
    ASSERT_TRUE(target.ok()) << target.status().message();
    const auto root = static_cast<unsigned char>(number + 100);
    images_.Place(Numbered(root));
    ASSERT_TRUE(snapshotter_->SetImage(*target, {Numbered(root), Numbered(number)}).ok());
    ASSERT_TRUE(snapshotter_->Commit({name, "extract", "", {{"l", "v"}}}).ok());
  }

  std::vector<api::Snapshot> List(const std::vector<std::string>& keys = {}) {
    grpc::ClientContext context;
    api::ListRequest request;
    for (const std::string& key : keys) request.add_keys(key);
    const auto reader = stub_->List(&context, request);
    std::vector<api::Snapshot> all;
    api::ListResponse response;
    batches_ = 0;
    while (reader->Read(&response)) {
      ++batches_;
      all.insert(all.end(), response.snapshots().begin(), response.snapshots().end());
    }
    EXPECT_TRUE(reader->Finish().ok());
    return all;
  }
  std::vector<std::pair<std::int64_t, api::Snapshot::State>> States() {
    std::vector<std::pair<std::int64_t, api::Snapshot::State>> states;
    for (const api::Snapshot& one : List()) states.emplace_back(one.number(), one.state());
    return states;
  }

  os::testing::Scratch scratch_;
  base::StderrSink sink_;
  base::Logger log_;
  FewImages images_;
  Deaf deaf_;
  Standing standing_;
  std::unique_ptr<Snapshotter> snapshotter_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<api::Admin::Stub> stub_;
  int batches_ = 0;
};

TEST_F(AdminServiceTest, StatusIsWhatTheDaemonIsNow) {
  for (const char* uuid : {"", "u"}) {
    standing_ = {"1.2", 5, "/root", "p", uuid, "fuse", "because", "/c", "/d"};
    grpc::ClientContext context;
    api::StatusResponse now;
    ASSERT_TRUE(stub_->Status(&context, {}, &now).ok());
    EXPECT_THAT(std::vector({now.version(), now.root(), now.pool(), now.pool_uuid(), now.backend(),
                             now.why_no_pool(), now.containerd(), now.content()}),
                ElementsAre("1.2", "/root", "p", uuid, "fuse", "because", "/c", "/d"));
    EXPECT_EQ(now.started_ns(), 5);
  }
}

TEST_F(AdminServiceTest, AllOfASnapshotIsSaid) {
  EXPECT_THAT(List(), IsEmpty());
  AddLayer(1, Numbered(1).ToString(), "");
  ASSERT_TRUE(snapshotter_->Prepare("container", Numbered(1).ToString(), {}).ok());
  std::vector<api::Snapshot> all = List();
  // Counted in the background.
  while (!all.at(0).counted()) all = List();
  ASSERT_EQ(all.size(), 2U);
  const api::Snapshot& layer = all[0];
  EXPECT_EQ(layer.number(), 1);
  EXPECT_EQ(layer.name(), Numbered(1).ToString());
  EXPECT_EQ(layer.kind(), api::Snapshot::COMMITTED);
  EXPECT_EQ(layer.state(), api::Snapshot::PLACED);
  EXPECT_EQ(layer.image(), Numbered(101).ToString());
  EXPECT_EQ(layer.diff_id(), Numbered(1).ToString());
  EXPECT_EQ(layer.chain(), Numbered(1).ToString());
  EXPECT_GT(layer.created_ns(), 0);
  EXPECT_EQ(layer.directory(), scratch_.Path("root/snapshots/1/fs"));
  EXPECT_FALSE(layer.mounted());
  EXPECT_EQ(layer.bytes(), 77);
  EXPECT_EQ(layer.inodes(), 3);
  EXPECT_THAT(layer.labels(), UnorderedElementsAre(Pair("l", "v")));
  const api::Snapshot& container = all[1];
  EXPECT_EQ(container.parent(), Numbered(1).ToString());
  EXPECT_EQ(container.kind(), api::Snapshot::ACTIVE);
  EXPECT_EQ(container.state(), api::Snapshot::DIRECTORY);
  EXPECT_EQ(container.image() + container.diff_id() + container.chain(), "");
  EXPECT_FALSE(container.counted());
}

TEST_F(AdminServiceTest, AnImageThatHasGoneIsMissing) {
  AddLayer(1, "a", "");
  AddLayer(2, "b", "a");
  ASSERT_TRUE(snapshotter_->View("view", "b", {}).ok());
  EXPECT_THAT(States(), ElementsAre(Pair(1, api::Snapshot::PLACED), Pair(2, api::Snapshot::PLACED),
                                    Pair(3, api::Snapshot::DIRECTORY)));
  images_.Lose(Numbered(101));
  EXPECT_THAT(States(), ElementsAre(Pair(1, api::Snapshot::MISSING), Pair(2, api::Snapshot::PLACED),
                                    Pair(3, api::Snapshot::DIRECTORY)));
  images_.fails = Status(StatusCode::kUnavailable, "no pool");
  EXPECT_THAT(States(), ElementsAre(Pair(1, api::Snapshot::STATE_UNSPECIFIED),
                                    Pair(2, api::Snapshot::STATE_UNSPECIFIED),
                                    Pair(3, api::Snapshot::DIRECTORY)));
}

TEST_F(AdminServiceTest, AnImageIsBeingPlacedAgain) {
  AddLayer(1, "a", "");
  images_.Lose(Numbered(101));
  images_.joined = 1;
  ASSERT_TRUE(snapshotter_->Prepare("any", "", {}).ok());  // notices that
  EXPECT_EQ(States().front().second, api::Snapshot::REBUILDING);
  images_.allowed.set_value();
  while (States().front().second != api::Snapshot::PLACED) continue;
}

TEST_F(AdminServiceTest, KeysAndNumbersChoose) {
  for (const char* key : {"a", "b", "1"}) ASSERT_TRUE(snapshotter_->Prepare(key, "", {}).ok());
  const auto names = [&](const std::vector<std::string>& keys) {
    std::vector<std::string> found;
    for (const api::Snapshot& one : List(keys)) found.push_back(one.name());
    return found;
  };
  EXPECT_THAT(names({"b"}), ElementsAre("b"));
  EXPECT_THAT(names({"2", "a", "none"}), ElementsAre("a", "b"));
  EXPECT_THAT(names({"1"}), ElementsAre("a", "1"));
  EXPECT_THAT(names({"none"}), IsEmpty());
}

TEST_F(AdminServiceTest, ManyComeInBatches) {
  for (int i = 0; i < 201; ++i) {
    ASSERT_TRUE(snapshotter_->Prepare("key" + std::to_string(i), "", {}).ok());
  }
  EXPECT_EQ(List().size(), 201U);
  EXPECT_EQ(batches_, 3);
}

}  // namespace
}  // namespace daxfs::snapshotter
