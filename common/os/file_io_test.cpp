// SPDX-License-Identifier: Apache-2.0
#include "common/os/file_io.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

#include "common/os/directory.hpp"
#include "common/os/mapping.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

using testing::Scratch;
using testing::WriteFile;

TEST(FileIoTest, ReadsExactlyOrSaysWhereItEnded) {
  const Scratch scratch;
  WriteFile(scratch.Path("f"), "abcdef");
  const UniqueFd fd = *(*Directory::Open(scratch.path())).OpenFile("f");
  std::array<std::byte, 4> out{};
  EXPECT_TRUE(PReadExact(fd.get(), 2, out).ok());
  EXPECT_EQ(out[0], std::byte{'c'});
  EXPECT_EQ(PReadExact(fd.get(), 4, out).code(), StatusCode::kDataLoss);
  EXPECT_EQ(*ReadFull(fd.get(), out), 4U);
  EXPECT_EQ(*ReadFull(fd.get(), out), 2U);
  EXPECT_EQ(*ReadSome(fd.get(), out), 0U);
}

TEST(FileIoTest, MovesOverHoles) {
  const Scratch scratch;
  WriteFile(scratch.Path("f"), "abcdef");
  ASSERT_EQ(::truncate(scratch.Path("f").c_str(), 4 << 20), 0);
  const UniqueFd fd = *(*Directory::Open(scratch.path())).OpenFile("f");
  std::array<std::byte, 2> out{};
  EXPECT_EQ(*SeekData(fd.get(), 2), 2U);
  EXPECT_EQ(*ReadFull(fd.get(), out), 2U);
  EXPECT_EQ(out[0], std::byte{'c'});
  // Only a hole is left, unless the filesystem does not know that.
  EXPECT_TRUE((*SeekData(fd.get(), 1 << 20)).value_or(1 << 20) == 1 << 20);
  EXPECT_FALSE((*SeekData(fd.get(), 4 << 20)).has_value());
  EXPECT_EQ(*ReadSome(fd.get(), out), 0U);
  EXPECT_FALSE(SeekData(-1, 0).ok());
}

TEST(FileIoTest, WholeFileHasALimit) {
  const Scratch scratch;
  WriteFile(scratch.Path("f"), "abcdef");
  const Directory dir = *Directory::Open(scratch.path());
  EXPECT_EQ(*ReadWholeFile(dir.OpenFile("f")->get(), 6), "abcdef");
  EXPECT_EQ(ReadWholeFile(dir.OpenFile("f")->get(), 5).status().code(), StatusCode::kOutOfRange);
}

TEST(FileIoTest, BadDescriptorIsAnError) {
  std::array<std::byte, 1> out{};
  EXPECT_FALSE(ReadSome(-1, out).ok());
  EXPECT_FALSE(PReadExact(-1, 0, out).ok());
  EXPECT_FALSE(PWriteAll(-1, 0, out).ok());
}

TEST(UniqueFdTest, CloseReportsAndMoves) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  UniqueFd a(fds[0]);
  UniqueFd b(std::move(a));
  a = UniqueFd(fds[1]);
  EXPECT_TRUE(a.Close().ok());
  EXPECT_FALSE(a.valid());
  EXPECT_TRUE(b.Close().ok());
  EXPECT_FALSE(UniqueFd(999999).Close().ok());
}

TEST(MappingTest, MapsRegularFilesOnly) {
  const Scratch scratch;
  WriteFile(scratch.Path("f"), "abc");
  WriteFile(scratch.Path("empty"), "");
  const Mapping mapping = *Mapping::OpenReadOnly(scratch.Path("f"));
  EXPECT_EQ(mapping.bytes().size(), 3U);
  EXPECT_EQ(mapping.bytes()[2], std::byte{'c'});
  EXPECT_TRUE(Mapping::OpenReadOnly(scratch.Path("empty"))->bytes().empty());
  EXPECT_EQ(Mapping::OpenReadOnly(scratch.path()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Mapping::OpenReadOnly("/dev/null").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Mapping::OpenReadOnly(scratch.Path("no")).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace daxfs::os
