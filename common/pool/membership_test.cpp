// SPDX-License-Identifier: Apache-2.0
#include "common/pool/membership.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "common/os/testing/scratch.hpp"
#include "common/pool/inspect.hpp"

namespace daxfs::pool {
namespace {

using testing::HasSubstr;

class MembershipTest : public testing::Test {
 protected:
  // As memory whose power was gone.
  void Wipe() {
    const std::string zeros(std::filesystem::file_size(path_), '\0');
    std::fstream(path_, std::ios::in | std::ios::out | std::ios::binary) << zeros;
  }
  void MakePool() {
    CreateOptions options;
    options.devices = {path_};
    options.size_bytes = 8U << 20U;
    const Status made = CreatePool(options);
    ASSERT_TRUE(made.ok()) << made.ToString();
  }
  HostIdentity Host(unsigned number) const {
    HostIdentity host;
    host.id.fill(static_cast<std::byte>(number));
    host.boot = 7;
    host.run_dir = scratch_.path() + "/run" + std::to_string(number);
    return host;
  }
  std::shared_ptr<Participant> Get() {
    const Result<std::shared_ptr<Participant>> got = membership_.Get();
    EXPECT_TRUE(got.ok()) << got.status().ToString();
    return got.ok() ? *got : nullptr;
  }

  os::testing::Scratch scratch_;
  const std::string path_ = scratch_.path() + "/pool";
  Membership membership_{path_, "test", [this] { return Result<HostIdentity>(Host(1)); }};
};

TEST_F(MembershipTest, OneParticipantAsLongAsThePoolIsThere) {
  MakePool();
  const std::shared_ptr<Participant> first = Get();
  EXPECT_EQ(Get(), first);
  EXPECT_EQ(membership_.Joined(), 1U);
}

TEST_F(MembershipTest, APoolThatIsYetToBeMadeIsJoinedThen) {
  const Status refused = membership_.Get().status();
  EXPECT_EQ(refused.code(), StatusCode::kUnavailable);
  EXPECT_THAT(refused.message(), HasSubstr(path_));
  EXPECT_EQ(membership_.Joined(), 0U);
  MakePool();
  EXPECT_TRUE(Get());
  EXPECT_EQ(membership_.Joined(), 1U);
}

TEST_F(MembershipTest, ItIsSaidOnceThatAPoolHasGone) {
  std::string said;
  membership_.WhenLost([&](const Status& why) { said += why.message() + "\n"; });
  EXPECT_FALSE(membership_.Get().ok());
  EXPECT_EQ(said, "") << "it never was there";
  for (int time = 0; time < 2; ++time) {
    said.clear();
    MakePool();
    ASSERT_NE(Get(), nullptr);
    std::filesystem::remove(path_);
    for (int look = 0; look < 3; ++look) EXPECT_FALSE(membership_.Get().ok());
    EXPECT_THAT(said, HasSubstr(path_));
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  }
}

TEST_F(MembershipTest, APoolMadeAnewIsAnother) {
  for (const bool another_file : {false, true}) {
    SCOPED_TRACE(another_file);
    if (!std::filesystem::exists(path_)) MakePool();
    std::shared_ptr<Participant> before = Get();
    const std::uint64_t joined = membership_.Joined();
    if (another_file) {
      std::filesystem::remove(path_);
    } else {
      Wipe();
    }
    MakePool();
    EXPECT_FALSE(before->IsMember());
    const std::shared_ptr<Participant> after = Get();
    EXPECT_FALSE(before->IsMember()) << "though its slot's word may be that of the new one";
    EXPECT_NE(Get()->memory().epoch(), before->memory().epoch());
    EXPECT_EQ(membership_.Joined(), joined + 1);
    before.reset();
    EXPECT_EQ(Get(), after);
    EXPECT_EQ(ListSlots(after->memory()).size(), 1U) << "the old one ends nothing of the new one";
  }
}

TEST_F(MembershipTest, AHostStatedToBeOffJoinsAgain) {
  MakePool();
  const std::shared_ptr<Participant> before = Get();
  Membership other(path_, "other", [this] { return Result<HostIdentity>(Host(2)); });
  const Result<std::shared_ptr<Participant>> there = other.Get();
  ASSERT_TRUE(there.ok()) << there.status().ToString();
  for (const HostView& host : ListHosts((*there)->memory())) {
    if (host.id != Host(1).id) continue;
    ASSERT_TRUE((*there)->Fence(host.host, host.key).ok());
  }
  EXPECT_FALSE(before->IsMember());
  EXPECT_NE(Get(), before);
  EXPECT_TRUE(Get()->Collect({}).empty());
  EXPECT_EQ(membership_.Joined(), 2U);
}

}  // namespace
}  // namespace daxfs::pool
