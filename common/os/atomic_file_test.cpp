// SPDX-License-Identifier: Apache-2.0
#include "common/os/atomic_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "common/os/testing/memory_file.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

using testing::CountEntries;
using testing::MemoryFile;
using testing::MemoryFileState;
using testing::ReadFile;
using testing::Scratch;
using testing::WriteFile;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string Text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One contract, two implementations.
class OutputFileContract : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<OutputFile> Make() {
    if (std::string_view(GetParam()) == "memory") return std::make_unique<MemoryFile>(state_);
    Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(scratch_.Path("out"));
    EXPECT_TRUE(file.ok()) << file.status().message();
    return *std::move(file);
  }
  std::optional<std::string> Committed() {
    if (std::string_view(GetParam()) == "memory") {
      return state_.is_committed ? std::optional(Text(state_.committed)) : std::nullopt;
    }
    if (!std::filesystem::exists(scratch_.Path("out"))) return std::nullopt;
    return ReadFile(scratch_.Path("out"));
  }

  Scratch scratch_;
  MemoryFileState state_;
};

TEST_P(OutputFileContract, AppearsWholeOrNotAtAll) {
  std::unique_ptr<OutputFile> file = Make();
  ASSERT_TRUE(file->Write(3, Bytes("abc")).ok());
  EXPECT_EQ(Committed(), std::nullopt);
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(Committed(), std::string("\0\0\0abc", 6));
}

TEST_P(OutputFileContract, NothingStaysWithoutCommit) {
  Make()->Write(0, Bytes("x")).ok();
  EXPECT_EQ(Committed(), std::nullopt);
  EXPECT_EQ(CountEntries(scratch_.path()), 0U);
}

TEST_P(OutputFileContract, ZeroErasesAndGrows) {
  std::unique_ptr<OutputFile> file = Make();
  ASSERT_TRUE(file->Write(0, Bytes("abcdef")).ok());
  ASSERT_TRUE(file->Zero(1, 3).ok());
  ASSERT_TRUE(file->Zero(5, 3).ok());
  ASSERT_TRUE(file->Zero(2, 0).ok());
  std::byte read[3] = {};
  ASSERT_TRUE(file->Read(3, read).ok());
  EXPECT_EQ(read[1], std::byte{'e'});
  EXPECT_FALSE(file->Read(6, read).ok());
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(Committed(), std::string("a\0\0\0e\0\0\0", 8));
}

TEST_P(OutputFileContract, TruncateCuts) {
  std::unique_ptr<OutputFile> file = Make();
  ASSERT_TRUE(file->Write(0, Bytes("abcdef")).ok());
  ASSERT_TRUE(file->Truncate(2).ok());
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(Committed(), "ab");
}

INSTANTIATE_TEST_SUITE_P(Both, OutputFileContract, ::testing::Values("memory", "file"),
                         [](const auto& test) { return std::string(test.param); });

TEST(AtomicFileTest, ReplacesAnOlderFile) {
  const Scratch scratch;
  WriteFile(scratch.Path("out"), "old");
  auto file = *AtomicFile::Create(scratch.Path("out"));
  ASSERT_TRUE(file->Write(0, Bytes("new")).ok());
  EXPECT_EQ(ReadFile(scratch.Path("out")), "old");
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(ReadFile(scratch.Path("out")), "new");
  EXPECT_EQ(CountEntries(scratch.path()), 1U);
}

TEST(AtomicFileTest, RefusesWhatIsNoFile) {
  const Scratch scratch;
  EXPECT_EQ(AtomicFile::Create(scratch.path()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(AtomicFile::Create("/dev/null").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(AtomicFile::Create(scratch.Path("no/out")).status().code(), StatusCode::kNotFound);
}

TEST(AtomicFileTest, FailedCommitLeavesNothing) {
  const Scratch scratch;
  auto file = *AtomicFile::Create(scratch.Path("out"));
  ASSERT_TRUE(file->Write(0, Bytes("x")).ok());
  std::filesystem::create_directory(scratch.Path("out"));  // rename onto a directory fails
  EXPECT_FALSE(file->Commit().ok());
  file.reset();
  EXPECT_EQ(CountEntries(scratch.path()), 1U);
}

TEST(MemoryFileTest, FailsTheCallAskedFor) {
  MemoryFileState state;
  state.fail_at_call = 2;
  MemoryFile file(state);
  EXPECT_TRUE(file.Write(0, Bytes("x")).ok());
  EXPECT_EQ(file.Zero(0, 1).code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(file.Commit().ok());
}

}  // namespace
}  // namespace daxfs::os
