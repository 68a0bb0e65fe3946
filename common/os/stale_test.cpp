// SPDX-License-Identifier: Apache-2.0
#include "common/os/stale.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/os/atomic_file.hpp"
#include "common/os/temp_dir.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

using testing::CountEntries;
using testing::Scratch;
using testing::WriteFile;

TEST(StaleTest, OnlyWhatNobodyHoldsGoes) {
  const Scratch scratch;
  const std::string output = scratch.Path("out");
  WriteFile(PartPrefix(output) + "12.0", "left behind");
  std::filesystem::create_directory(PartPrefix(output) + "abcdef");
  WriteFile(PartPrefix(output) + "abcdef/file", "x");
  WriteFile(output + ".part", "somebody's");
  WriteFile(output, "somebody's");
  WriteFile(PartPrefix(scratch.Path("other")) + "1.0", "another output's");
  const TempDir held = *TempDir::Create(PartPrefix(output));
  RemoveStaleParts(output);
  EXPECT_EQ(CountEntries(scratch.path()), 4U);
  EXPECT_TRUE(std::filesystem::exists(held.path()));
}

TEST(StaleTest, MakingTheOutputRemovesIt) {
  const Scratch scratch;
  WriteFile(PartPrefix(scratch.Path("out")) + "12.0", "left behind");
  ASSERT_TRUE((*AtomicFile::Create(scratch.Path("out")))->Commit().ok());
  EXPECT_EQ(CountEntries(scratch.path()), 1U);
}

TEST(StaleTest, NoDirectoryIsNoReasonToFail) { RemoveStaleParts("/nonexistent/out"); }

}  // namespace
}  // namespace daxfs::os
