// SPDX-License-Identifier: Apache-2.0
#include "common/pool/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace daxfs::pool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(PoolConfig, SaysWhereAPoolIs) {
  const Result<PoolConfig> config = ParsePoolConfig(
      "main", "# comment\ndevices:\n  - /dev/dax0.0\n  - /dev/dax1.0\nsize: 4G\nlabel: rack 7\n");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->name, "main");
  EXPECT_THAT(config->devices, ElementsAre("/dev/dax0.0", "/dev/dax1.0"));
  EXPECT_EQ(config->size_bytes, std::uint64_t{4} << 30U);
  EXPECT_EQ(config->label, "rack 7");
}

TEST(PoolConfig, RangesComeInPairs) {
  const struct {
    const char* yaml;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  } kCases[] = {
      {"phys: 0x100000000\nsize: 4G\n", {{0x100000000, 0x100000000}}},
      {"phys: [0x100000000]\nsize: 4G\n", {{0x100000000, 0x100000000}}},
      {"size: [2M, 1G]\nphys: [4G, 0]\n", {{0x100000000, 0x200000}, {0, 0x40000000}}},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(test.yaml);
    const Result<PoolConfig> config = ParsePoolConfig("p", test.yaml);
    ASSERT_TRUE(config.ok()) << config.status().ToString();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
    for (const os::PhysicalRange& range : config->ranges) {
      found.emplace_back(range.phys, range.size_bytes);
    }
    EXPECT_EQ(found, test.ranges);
    EXPECT_TRUE(config->devices.empty());
  }
}

TEST(PoolConfig, TheDevicesOfAPoolAreNumberedBehindTheFirst) {
  EXPECT_EQ(AttachedPath(AttachedName("rack", 0)), "/dev/daxfs/rack");
  EXPECT_EQ(AttachedPath(AttachedName("rack", 1)), "/dev/daxfs/rack.1");
  EXPECT_EQ(AttachedPath(AttachedName("rack", 15)), "/dev/daxfs/rack.15");
}

TEST(PoolConfig, WrongFilesAreToldByLine) {
  const struct {
    const char* yaml;
    const char* message;
  } kCases[] = {
      {"", "wants `devices:`"},
      {"- a\n", "wants `devices:`"},
      {"size: 4G\n", "names no devices"},
      {"devices: /dev/dax0.0\n", "line 1: devices: wants a list"},
      {"devices: []\n", "line 1: devices: wants a list"},
      {"devices:\n  - {a: b}\n", "line 2: devices: wants a text"},
      {"devices: [a]\nsize: lots\n", "line 2: size: "},
      {"phys: 0x1000000000\n", "phys: goes with size"},
      {"phys: [0, 4G]\nsize: 1G\n", "phys: goes with size"},
      {"phys: [0, lots]\nsize: 1G\n", "line 1: phys: "},
      {"devices: [a]\nphys: 0\nsize: 4G\n", "phys: goes without devices"},
      {"devices: [a]\nsize: [1G, 4G]\n", "size: devices have one"},
      {"devices: [a]\ncolour: red\n", "line 2: colour: no such key"},
      {"devices: [a\n", "line "},
      {"devices: &a [*a]\n", "line "},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(test.yaml);
    const Result<PoolConfig> config = ParsePoolConfig("p", test.yaml);
    ASSERT_FALSE(config.ok());
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(config.status().message(), HasSubstr(test.message));
  }
}

TEST(PoolConfig, PathsNeedNoFile) {
  const Result<PoolConfig> config = ResolvePool("/dev/shm/a,./b");
  ASSERT_TRUE(config.ok());
  EXPECT_THAT(config->devices, ElementsAre("/dev/shm/a", "./b"));
}

}  // namespace
}  // namespace daxfs::pool
