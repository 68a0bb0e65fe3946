// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/os/testing/scratch.hpp"

namespace daxfs::snapshotter {
namespace {

using testing::HasSubstr;

TEST(CommandLine, OptionsWinOverTheFile) {
  os::testing::Scratch scratch;
  const std::string path = scratch.Path("snapshotter.yaml");
  os::testing::WriteFile(path, "root: /data/x\npool: p1\nlog_level: error\n");
  const char* argv[] = {"daxfs-snapshotter", "--config", path.c_str(), "--pool", "p2",
                        "--log-level",       "debug"};
  EXPECT_EQ(std::get<CommandLine>(ParseCommandLine(5, argv)).log.level, base::LogLevel::kError);
  const std::variant<CommandLine, Leave> parsed = ParseCommandLine(7, argv);
  EXPECT_EQ(std::get<CommandLine>(parsed).log.level, base::LogLevel::kDebug);
  ASSERT_TRUE(std::holds_alternative<CommandLine>(parsed));
  const Config& config = std::get<CommandLine>(parsed).config;
  EXPECT_EQ(config.root, "/data/x");
  EXPECT_EQ(config.pool, "p2");
}

TEST(CommandLine, SaysWhatIsWrong) {
  const char* missing[] = {"daxfs-snapshotter", "--config", "/nowhere/at/all"};
  const std::variant<CommandLine, Leave> parsed = ParseCommandLine(3, missing);
  ASSERT_TRUE(std::holds_alternative<Leave>(parsed));
  EXPECT_EQ(std::get<Leave>(parsed).exit_code, 2);
  EXPECT_THAT(std::get<Leave>(parsed).text, HasSubstr("/nowhere/at/all"));
  const char* unknown[] = {"daxfs-snapshotter", "--bogus"};
  EXPECT_EQ(std::get<Leave>(ParseCommandLine(2, unknown)).exit_code, 2);
  const std::string far = "/" + std::string(107, 'a');
  for (const auto& [option, value] : {std::pair<const char*, const char*>{"--root", "relative"},
                                      {"--root", "/a:b"},
                                      {"--address", "relative"},
                                      {"--address", far.c_str()}}) {
    const char* wrong[] = {"daxfs-snapshotter", option, value};
    const std::variant<CommandLine, Leave> refused = ParseCommandLine(3, wrong);
    ASSERT_TRUE(std::holds_alternative<Leave>(refused)) << option << " " << value;
    EXPECT_THAT(std::get<Leave>(refused).text, HasSubstr(std::string(option) + ": "));
  }
  const char* help[] = {"daxfs-snapshotter", "--help"};
  EXPECT_EQ(std::get<Leave>(ParseCommandLine(2, help)).exit_code, 0);
}

}  // namespace
}  // namespace daxfs::snapshotter
