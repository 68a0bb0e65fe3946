// SPDX-License-Identifier: Apache-2.0
#include "common/os/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

using testing::CountEntries;
using testing::Scratch;
using testing::WriteFile;

TEST(TempDirTest, GoesWithEverythingInIt) {
  const Scratch scratch;
  {
    const TempDir dir = *TempDir::Create(scratch.Path("t-"));
    std::filesystem::create_directory(dir.path() + "/sub");
    WriteFile(dir.path() + "/sub/file", "x");
  }
  EXPECT_EQ(CountEntries(scratch.path()), 0U);
}

TEST(TempDirTest, RenameKeepsItAndNeverReplaces) {
  const Scratch scratch;
  for (const bool expected : {true, false}) {
    TempDir dir = *TempDir::Create(scratch.Path("t-"));
    const Status status = dir.RenameTo(scratch.Path("target"));
    EXPECT_EQ(status.ok(), expected);
    EXPECT_EQ(status.code(), expected ? StatusCode::kOk : StatusCode::kAlreadyExists);
  }
  EXPECT_EQ(CountEntries(scratch.path()), 1U);
}

TEST(TempDirTest, NowhereToMakeIt) {
  EXPECT_EQ(TempDir::Create("/nonexistent/t-").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace daxfs::os
