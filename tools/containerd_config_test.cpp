// SPDX-License-Identifier: Apache-2.0
#include "tools/containerd_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "common/os/file_tree.hpp"
#include "common/os/system.hpp"
#include "common/os/testing/scratch.hpp"
#include "common/os/unix_socket.hpp"

namespace daxfs::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ContainerdConfigTest, OfVersionThree) {
  const Result<ContainerdConfig> config = ParseContainerdConfig(R"(
version = 3
[plugins."io.containerd.service.v1.diff-service"]
  default = ["daxfs-diff", "walking"]
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/amd64"
  snapshotter = "daxfs"
  differ = "daxfs-diff"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "daxfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "registry.k8s.io/pause:3.10"
)");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_THAT(config->differs, ElementsAre("daxfs-diff", "walking"));
  ASSERT_EQ(config->unpack.size(), 2U);
  EXPECT_EQ(config->unpack[0].snapshotter, "daxfs");
  EXPECT_EQ(config->unpack[0].differ, "daxfs-diff");
  EXPECT_EQ(config->unpack[1].differ, "");
  EXPECT_EQ(config->pods_snapshotter, "daxfs");
  EXPECT_EQ(config->sandbox_image, "registry.k8s.io/pause:3.10");
}

TEST(ContainerdConfigTest, OfVersionTwo) {
  const Result<ContainerdConfig> config = ParseContainerdConfig(R"(
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause:3.8"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
)");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->pods_snapshotter, "overlayfs");
  EXPECT_EQ(config->sandbox_image, "pause:3.8");
  EXPECT_THAT(config->differs, IsEmpty());
}

TEST(ContainerdConfigTest, WhatIsWrittenOtherwiseIsNotThere) {
  for (const char* text : {"", "plugins = 3",
                           "[plugins.\"io.containerd.transfer.v1.local\"]\n"
                           "unpack_config = \"x\""}) {
    const Result<ContainerdConfig> config = ParseContainerdConfig(text);
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_THAT(config->unpack, IsEmpty());
    EXPECT_EQ(config->pods_snapshotter, "");
  }
  const Status status = ParseContainerdConfig("version = 2\n[plugins\n").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("line 2: "));
}

// $PATH is one folder of this test's own.
class ReadContainerdConfigTest : public testing::Test {
 protected:
  ReadContainerdConfigTest() : path_(os::Environment("PATH")) {
    ::setenv("PATH", scratch_.path().c_str(), 1);
  }
  ~ReadContainerdConfigTest() override { ::setenv("PATH", path_.c_str(), 1); }
  void Install(const std::string& script) {
    os::testing::WriteFile(scratch_.Path("containerd"), "#!/bin/sh\n" + script);
    ASSERT_EQ(::chmod(scratch_.Path("containerd").c_str(), 0755), 0);
  }
  Result<ContainerdConfig> Read(const std::string& path) {
    return ReadContainerdConfig(path, scratch_.Path("socket"));
  }
  os::testing::Scratch scratch_;
  const std::string path_;
  const std::string file_ = scratch_.Path("config.toml");
};

TEST_F(ReadContainerdConfigTest, TheProgramKnowsBetterThanTheFile) {
  const char* const kFrom = R"([plugins."io.containerd.cri.v1.images"]
snapshotter = ')";
  EXPECT_EQ(Read(file_).status().code(), StatusCode::kNotFound);
  os::testing::WriteFile(file_, kFrom + std::string("file'\n"));
  EXPECT_EQ(Read(file_)->pods_snapshotter, "file");
  EXPECT_THAT(Read(file_)->source, HasSubstr(file_));
  Install("echo \"" + std::string(R"([plugins.'io.containerd.cri.v1.images'])") +
          "\"\necho \"snapshotter = '$*'\"\n");
  EXPECT_EQ(Read(file_)->pods_snapshotter, "--config " + file_ + " config dump");
  EXPECT_EQ(Read(scratch_.Path("none"))->pods_snapshotter, "config dump");
  EXPECT_EQ(Read(file_)->source, "containerd config dump");
}

TEST_F(ReadContainerdConfigTest, TheOneThatServesIsAsked) {
  const std::string serves = scratch_.Path("elsewhere/containerd");
  ASSERT_TRUE(os::MakeDirectory(scratch_.Path("elsewhere"), 0700).ok());
  std::filesystem::copy_file("/usr/bin/python3", serves);
  const std::string listens = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind('" +
                              scratch_.Path("socket") + "'); s.listen(); sys.stdin.read()";
  int pipe[2] = {};
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe[0], STDIN_FILENO);
    ::close(pipe[0]);
    ::close(pipe[1]);
    ::execl(serves.c_str(), serves.c_str(), "-c", listens.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(pipe[0]);
  for (int i = 0; i < 1000 && !os::ProbeUnix(scratch_.Path("socket")).ok(); ++i) ::usleep(10000);
  Install("echo \"this one does not serve\" >&2; exit 1\n");
  const Status failed = Read(file_).status();  // a python knows no such command
  EXPECT_EQ(failed.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(failed.message(), HasSubstr(serves + " config dump: "));
  ::close(pipe[1]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_THAT(Read(file_).status().message(), HasSubstr("this one does not serve"));
}

TEST_F(ReadContainerdConfigTest, AProgramThatFailsSaysWhy) {
  Install("echo broken >&2; exit 1\n");
  const Status failed = Read(file_).status();
  EXPECT_EQ(failed.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(failed.message(), HasSubstr("config dump: broken"));
  Install("echo '['\n");
  EXPECT_EQ(Read(file_).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace daxfs::tools
