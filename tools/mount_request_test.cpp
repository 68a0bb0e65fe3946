// SPDX-License-Identifier: Apache-2.0
#include "tools/mount_request.hpp"

#include <gtest/gtest.h>
#include <linux/mount.h>

namespace daxfs::tools {
namespace {

TEST(ParseMountCommand, WhatMountGivesAHelper) {
  const Result<MountCommand> got =
      ParseMountCommand({"/dev/dax0.0", "/mnt", "-nv", "-o", "ro,size=2G", "-o", "nosuid"});
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ(got->source, "/dev/dax0.0");
  EXPECT_EQ(got->target, "/mnt");
  EXPECT_EQ(got->options, "ro,size=2G,nosuid");
  EXPECT_TRUE(got->verbose);
  EXPECT_FALSE(got->fake);
}

TEST(ParseMountCommand, BadInput) {
  const std::vector<std::vector<std::string>> table = {
      {}, {"none"}, {"a", "b", "c"}, {"none", "/mnt", "-x"}, {"none", "/mnt", "-o"}};
  for (const auto& arguments : table) {
    EXPECT_EQ(ParseMountCommand(arguments).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(ParseMountCommand({"--help"}).ok());
}

TEST(MakeRequest, SplitsOptions) {
  MountCommand command;
  command.source = "none";
  command.target = "/mnt";
  command.options = "rw,defaults,noauto,x-systemd.automount,nosuid,nodev,phys=0x100000000,size=60M";
  const os::MountRequest got = MakeRequest(command);
  EXPECT_EQ(got.attributes,
            static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  const std::vector<std::pair<std::string, std::string>> want = {{"phys", "0x100000000"},
                                                                 {"size", "60M"}};
  EXPECT_EQ(got.options, want);
  EXPECT_TRUE(HasOption(got, "phys"));
  EXPECT_FALSE(HasOption(got, "image"));
}

}  // namespace
}  // namespace daxfs::tools
