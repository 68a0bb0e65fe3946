// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/overlay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daxfs::snapshotter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kUids = "containerd.io/snapshot/uidmapping";
constexpr const char* kGids = "containerd.io/snapshot/gidmapping";

struct Case {
  const char* what;
  Kind kind;
  std::vector<std::string> lowers;
  Mount expected;
};

TEST(ComposeMounts, BindsWhereNothingLiesOverAnything) {
  const Case cases[] = {
      {"a root", Kind::kActive, {}, {"bind", "/1/fs", {"rw", "rbind"}}},
      {"an empty view", Kind::kView, {}, {"bind", "/1/fs", {"ro", "rbind"}}},
      {"a view of one", Kind::kView, {"/2/fs"}, {"bind", "/2/fs", {"ro", "rbind"}}},
      {"a view of two",
       Kind::kView,
       {"/3/fs", "/2/fs"},
       {"overlay", "overlay", {"lowerdir=/3/fs:/2/fs", "index=off"}}},
      {"active over one",
       Kind::kActive,
       {"/2/fs"},
       {"overlay",
        "overlay",
        {"workdir=/1/work", "upperdir=/1/fs", "lowerdir=/2/fs", "index=off"}}},
  };
  for (const Case& c : cases) {
    const Result<std::vector<Mount>> mounts =
        ComposeMounts({c.kind, "/1/fs", "/1/work", c.lowers}, {}, {"index=off"});
    ASSERT_TRUE(mounts.ok()) << c.what;
    EXPECT_THAT(*mounts, ElementsAre(c.expected)) << c.what;
  }
}

TEST(ComposeMounts, TakesAsManyLayersAsOverlayFs) {
  const std::vector<std::string> most(500, "/2/fs");
  EXPECT_TRUE(ComposeMounts({Kind::kView, "", "", most}, {}, {}).ok());
  const std::vector<std::string> more(501, "/2/fs");
  const Status status = ComposeMounts({Kind::kView, "", "", more}, {}, {}).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("500"));
}

TEST(ComposeMounts, PassesMappingsOn) {
  const Labels labels = {{kUids, "0:1000:10"}, {kGids, "0:2000:10"}};
  const Result<std::vector<Mount>> mounts =
      ComposeMounts({Kind::kActive, "/1/fs", "/1/work", {}}, labels, {});
  EXPECT_THAT(mounts->front().options,
              ElementsAre("uidmap=0:1000:10", "gidmap=0:2000:10", "rw", "rbind"));
}

TEST(MappedRoot, IsWhereZeroIsMapped) {
  EXPECT_FALSE((*MappedRoot({})).has_value());
  const Result<std::optional<Owner>> owner =
      MappedRoot({{kUids, "5:7:1,0:1000:10"}, {kGids, "0:4294967294:1"}});
  ASSERT_TRUE(owner.ok());
  EXPECT_EQ((*owner)->uid, 1000U);
  EXPECT_EQ((*owner)->gid, 4294967294U);
}

TEST(MappedRoot, RefusesWhatMapsNone) {
  for (const char* text : {"", "0", "0:1", "0:1:0", "1:1:1", "0:1:1:1", "0:x:1", "0:-1:1", "0::1",
                           "0:4294967296:1", "a:b:c", "0:1:1x"}) {
    EXPECT_EQ(MappedRoot({{kUids, "0:1:1"}, {kGids, text}}).status().code(),
              StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(WrittenDirectory, OfOurMounts) {
  EXPECT_EQ(WrittenDirectory({"bind", "/1/fs", {"rw", "rbind"}}), "/1/fs");
  EXPECT_EQ(WrittenDirectory({"bind", "/1/fs", {"ro", "rbind"}}), std::nullopt);
  EXPECT_EQ(WrittenDirectory({"overlay", "overlay", {"lowerdir=/2", "upperdir=/1/fs"}}), "/1/fs");
  EXPECT_EQ(WrittenDirectory({"overlay", "overlay", {"lowerdir=/2:/3"}}), std::nullopt);
}

}  // namespace
}  // namespace daxfs::snapshotter
