// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/pool_images.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "common/containerd/testing/fake_containerd.hpp"
#include "common/convert/testing/test_pool.hpp"
#include "common/os/testing/scratch.hpp"
#include "common/pool/inspect.hpp"

namespace daxfs::snapshotter {
namespace {

using containerd::testing::FakeContainerd;
using convert::testing::TestPool;

constexpr const char* kTar = "application/vnd.oci.image.layer.v1.tar";

// Only remembers.
class FakeMounter final : public Mounter {
 public:
  const char* name() const override { return "fake"; }
  Status Mount(const oci::Digest& /*root*/, const std::string& path) override {
    was_directory = std::filesystem::is_directory(path);
    return Status::Ok();
  }
  Status Unmount(const std::string& /*path*/) override { return Status::Ok(); }
  bool was_directory = false;
};

class PoolImagesTest : public ::testing::Test {
 protected:
  // A tar without entries, of so many blocks.
  static std::string Tar(std::size_t blocks) { return std::string(blocks * 512, '\0'); }
  static oci::Digest DiffIdOf(const std::string& tar) { return {pool::Sha256(tar)}; }
  static bool Never() { return false; }
  Result<LayerImage> Restore(const std::string& tar) {
    return images_.Restore({{}, DiffIdOf(tar)}, "s/1", {}, Never);
  }

  const os::testing::Scratch scratch_;
  TestPool pool_{scratch_.path()};
  base::StderrSink sink_;
  base::Logger log_{sink_, {base::LogLevel::kError}};
  FakeContainerd containerd_;
  FakeMounter mounter_;
  Catalog catalog_{containerd_, containerd_, std::chrono::seconds(0)};
  pool::Membership membership_{pool_.path(), "test"};
  PoolImages images_{membership_, mounter_, catalog_, containerd_, log_};
};

TEST_F(PoolImagesTest, ImagesThatLieHideNoneThatDoesNot) {
  const std::string wanted = Tar(2);
  // Whatever the order of digests is: another layer, no layer, no tar, and what is there no more.
  for (std::size_t blocks = 3; blocks < 9; ++blocks) {
    containerd_.images.push_back(
        {"n", "liar", containerd_.PutImage(Tar(blocks), DiffIdOf(wanted), kTar)});
  }
  containerd_.images.push_back(
      {"n", "no layer", containerd_.PutImage("x", DiffIdOf(wanted), "text/plain")});
  containerd_.images.push_back(
      {"n", "no tar", containerd_.PutImage(std::string(1024, 'x'), DiffIdOf(wanted), kTar)});
  const Status lies = Restore(wanted).status();
  EXPECT_FALSE(lies.ok());
  EXPECT_TRUE(pool::ListHolds(pool_.participant().memory()).empty());

  containerd_.images.push_back(
      {"n", "honest", containerd_.PutImage(wanted, DiffIdOf(wanted), kTar)});
  const Result<LayerImage> restored = Restore(wanted);
  ASSERT_TRUE(restored.ok()) << restored.status().message();
  EXPECT_EQ(restored->diff_id, DiffIdOf(wanted));
  EXPECT_EQ(pool::ListHolds(pool_.participant().memory()).size(), 1U);
}

TEST_F(PoolImagesTest, WhoIsCancelledTriesNoOther) {
  for (std::size_t blocks = 2; blocks < 4; ++blocks) {
    containerd_.images.push_back(
        {"n", "web", containerd_.PutImage(Tar(blocks), DiffIdOf(Tar(2)), kTar)});
  }
  const Status ended =
      images_.Restore({{}, DiffIdOf(Tar(2))}, "s/1", {}, [] { return true; }).status();
  EXPECT_EQ(ended.code(), StatusCode::kCancelled) << ended.message();
}

TEST_F(PoolImagesTest, WhatIsWithdrawnCannotBeUsedUntilItIsMountedAgain) {
  const std::string path = scratch_.Path("fs");
  ASSERT_TRUE(std::filesystem::create_directory(path));
  EXPECT_TRUE(images_.Withdraw(path).ok());
  EXPECT_FALSE(std::filesystem::exists(path)) << "it would be a layer without anything";
  EXPECT_TRUE(images_.Withdraw(path).ok());
  EXPECT_TRUE(images_.Unmount(path).ok());
  EXPECT_TRUE(images_.Mount({}, path).ok());
  EXPECT_TRUE(mounter_.was_directory);
  EXPECT_EQ(images_.Mount({}, scratch_.Path("removed/fs")).code(), StatusCode::kNotFound);
}

TEST_F(PoolImagesTest, LookingIsNoUse) {
  containerd_.images = {{"n", "web", containerd_.PutImage(Tar(2), DiffIdOf(Tar(2)), kTar)}};
  const Result<LayerImage> image = Restore(Tar(2));
  ASSERT_TRUE(image.ok()) << image.status().message();
  const pool::Memory& memory = pool_.participant().memory();
  ASSERT_EQ(pool::ListObjects(memory).size(), 1U);
  const std::uint32_t row = pool::ListObjects(memory).front().ref.row;
  daxfs_word* const used = &memory.words().row_records[row].used;
  daxfs_store(used, 1);
  EXPECT_TRUE(*images_.IsPlaced(*image));
  EXPECT_FALSE(*images_.IsPlaced({{}, {}}));
  EXPECT_EQ(daxfs_load(used), 1U);
  EXPECT_TRUE(images_.Hold(*image, "s/2").ok());
  EXPECT_NE(daxfs_load(used), 1U) << "another row was looked at";
}

}  // namespace
}  // namespace daxfs::snapshotter
