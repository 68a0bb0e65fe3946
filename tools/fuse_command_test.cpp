// SPDX-License-Identifier: Apache-2.0
#include "tools/fuse_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daxfs::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(FuseCommandTest, WhatAPersonTypes) {
  const auto got = ParseFuseCommand({"-f", "-o", "dev,allow_other", "image", "/mnt", "-osuid"});
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ(got->image, "image");
  EXPECT_EQ(got->mountpoint, "/mnt");
  EXPECT_TRUE(got->foreground);
  EXPECT_THAT(got->options, ElementsAre("dev", "allow_other", "suid"));
}

TEST(FuseCommandTest, WhatMountPasses) {
  const auto got = ParseFuseCommand(
      {"image", "/mnt", "-o", "rw,defaults,noauto,x-systemd.automount,_netdev,,dev"});
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_FALSE(got->foreground);
  EXPECT_THAT(got->options, ElementsAre("dev"));
}

TEST(FuseCommandTest, BadInput) {
  const std::vector<std::pair<std::vector<std::string>, const char*>> table = {
      {{}, "wanted: IMAGE and MOUNTPOINT"},
      {{"image"}, "wanted: IMAGE and MOUNTPOINT"},
      {{"a", "b", "c"}, "wanted: IMAGE"},
      {{"a", "b", "-x"}, "unknown option -x"},
      {{"a", "b", "-o"}, "-o wants an argument"},
      {{"a", "b", "-o", "phys=0"}, "-o phys=0: unknown option"},
      {{"a", "b", "-odev,big"}, "-o big"},
  };
  for (const auto& [arguments, message] : table) {
    const auto got = ParseFuseCommand(arguments);
    EXPECT_EQ(got.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(got.status().message(), HasSubstr(message));
  }
  EXPECT_TRUE(ParseFuseCommand({"--help"})->help);
  EXPECT_TRUE(ParseFuseCommand({"-V"})->version);
}

}  // namespace
}  // namespace daxfs::tools
