// SPDX-License-Identifier: Apache-2.0
#include "common/os/filesystem.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

TEST(ProbeUpperTest, MemoryWillDo) {
  if (::geteuid() != 0) GTEST_SKIP() << "trusted.* is for root";
  const Result<UpperFacts> facts = ProbeUpper("/dev/shm");
  ASSERT_TRUE(facts.ok()) << facts.status().message();
  EXPECT_EQ(facts->type, "tmpfs");
  EXPECT_TRUE(facts->entry_types);
  EXPECT_TRUE(facts->xattrs);
}

TEST(ProbeUpperTest, ItLeavesNothing) {
  const testing::Scratch scratch;
  static_cast<void>(ProbeUpper(scratch.path()).ok());
  EXPECT_EQ(testing::CountEntries(scratch.path()), 0U);
}

TEST(ProbeUpperTest, WhatIsNotThereOrNotWritable) {
  EXPECT_EQ(ProbeUpper("/nowhere/at/all").status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(ProbeUpper("/proc/self").ok());
}

}  // namespace
}  // namespace daxfs::os
