// SPDX-License-Identifier: Apache-2.0
// What the tests from outside (tests/cli) cannot make: images that no writer of ours writes.
#include "tools/image_commands.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <string>
#include <vector>

#include "common/os/testing/manual_clock.hpp"
#include "common/os/testing/scratch.hpp"
#include "testing/tiny_image.hpp"

namespace daxfs::tools {
namespace {

using core_testing::TinyImage;
using ::testing::HasSubstr;

class Nowhere final : public base::LogSink {
 public:
  void Write(std::string_view /*text*/) override {}
};

daxfs_attr Directory(std::uint64_t start, std::uint64_t count, std::uint64_t parent) {
  daxfs_attr attr = {};
  attr.mode = S_IFDIR | 0755;
  attr.nlink = 2;
  attr.data_start = start;
  attr.data_count = count;
  attr.parent = parent;
  return attr;
}

// Forty directories in one another, each under two names: 2^40 paths in 2.5 KiB of entries.
std::string TwoNamesEach() {
  constexpr std::uint64_t kDepth = 40;
  TinyImage tiny;
  for (std::uint64_t i = 0; i <= kDepth; ++i) {
    tiny.inodes.push_back(Directory(2 * i, i < kDepth ? 2 : 0, i == 0 ? 1 : i));
    if (i == kDepth) break;
    TinyImage::Entry a = TinyImage::Named("a", S_IFDIR >> 12U, i + 2);
    TinyImage::Entry b = TinyImage::Named("b", S_IFDIR >> 12U, i + 2);
    if (a.hash > b.hash) std::swap(a, b);
    tiny.entries.push_back(a);
    tiny.entries.push_back(b);
  }
  const std::vector<std::uint8_t> bytes = tiny.Build();
  return {bytes.begin(), bytes.end()};
}

TEST(ImageCommandsTest, NothingIsEndlessOnADamagedImage) {
  const os::testing::Scratch scratch;
  os::testing::WriteFile(scratch.Path("image"), TwoNamesEach());
  Nowhere sink;
  base::Logger log(sink, {});
  const os::testing::ManualClock clock;
  const std::atomic<bool> never{false};
  os::Progress progress(log, sink, clock, never, {});
  std::size_t printed = 0;
  const auto count = [&printed](std::string_view text) {
    printed += text.size();
    return Status::Ok();
  };
  Context context{count, progress, log};
  ImageCommand command;
  command.image = scratch.Path("image");
  command.other = command.image;
  command.recursive = true;
  const std::vector<std::pair<Status (*)(const ImageCommand&, Context&), std::string>> table = {
      {ListDirectory, "-"},
      {DumpImage, "-"},
      {DiffImage, "-"},
      {ExtractImage, "tar:" + scratch.Path("out")},
      {ExtractImage, "dir:" + scratch.Path("out")},
  };
  for (const auto& [function, output] : table) {
    command.output = output;
    const Status status = function(command, context);
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << output;
    EXPECT_THAT(status.message(),
                ::testing::AnyOf(HasSubstr("share entries"), HasSubstr("under two names")));
  }
  EXPECT_LT(printed, 100000U);
  EXPECT_EQ(os::testing::CountEntries(scratch.path()), 1U);  // the image alone
}

}  // namespace
}  // namespace daxfs::tools
