// SPDX-License-Identifier: Apache-2.0
#include "common/os/project_quota.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/os/testing/quota_mount.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

constexpr std::uint64_t kMiB = 1U << 20U;
constexpr std::uint32_t kProject = 1234567;

TEST(ProjectQuotasTest, MemoryHasNone) {
  const Result<std::optional<ProjectQuotas>> found = ProjectQuotas::On("/dev/shm");
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_FALSE(found->has_value());
  EXPECT_EQ(ProjectQuotas::On("/nowhere").status().code(), StatusCode::kNotFound);
}

TEST(ProjectQuotasTest, AllThatIsMadeBelowIsLimitedTogether) {
  const testing::QuotaMount mounted;
  if (!mounted.why_not().empty()) GTEST_SKIP() << mounted.why_not();
  const Result<std::optional<ProjectQuotas>> found = ProjectQuotas::On(mounted.path());
  ASSERT_TRUE(found.ok() && found->has_value());
  const ProjectQuotas& quotas = **found;
  const std::string limited = mounted.path() + "/limited";
  ASSERT_EQ(::mkdir(limited.c_str(), 0755), 0);
  EXPECT_FALSE(quotas.Look(kProject)->used);
  EXPECT_EQ(*ProjectQuotas::ProjectOf(limited), 0U);
  ASSERT_TRUE(ProjectQuotas::Assign(limited, kProject).ok());
  EXPECT_TRUE(quotas.Look(kProject)->used);
  ASSERT_TRUE(quotas.Limit(kProject, 4 * kMiB - 5).ok());
  const std::string below = limited + "/below";
  ASSERT_EQ(::mkdir(below.c_str(), 0755), 0);
  EXPECT_EQ(*ProjectQuotas::ProjectOf(below), kProject);
  EXPECT_TRUE(testing::FitsForAContainer(below + "/two", 2 * kMiB));
  EXPECT_FALSE(testing::FitsForAContainer(limited + "/three", 3 * kMiB));
  EXPECT_TRUE(testing::FitsForAContainer(mounted.path() + "/others", 8 * kMiB));
  ASSERT_TRUE(quotas.Limit(kProject, 0).ok());
  EXPECT_TRUE(testing::FitsForAContainer(limited + "/three", 3 * kMiB));
  ASSERT_TRUE(quotas.Limit(kProject + 1, kMiB).ok());
  EXPECT_FALSE(quotas.Look(kProject + 1)->used);
  EXPECT_EQ(quotas.Look(kProject + 1)->limit_bytes, kMiB);
  EXPECT_TRUE(quotas.Limit(kProject + 1, INT64_MAX).ok()) << "as much as can be said";
}

}  // namespace
}  // namespace daxfs::os
