// SPDX-License-Identifier: Apache-2.0
#include "tools/kernel_status.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "common/os/testing/manual_clock.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::tools {
namespace {

using os::testing::WriteFile;

class Nowhere final : public base::LogSink {
 public:
  void Write(std::string_view /*text*/) override {}
};

class KernelStatusTest : public ::testing::Test {
 protected:
  KernelStatusTest() { command_.root = scratch_.path(); }

  void Put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(scratch_.Path(path)).parent_path());
    WriteFile(scratch_.Path(path), text);
  }
  Status Show() {
    text_.clear();
    return ShowKernel(command_, context_);
  }

  os::testing::Scratch scratch_;
  Nowhere sink_;
  base::Logger log_{sink_, {}};
  os::testing::ManualClock clock_;
  std::atomic<bool> never_{false};
  os::Progress progress_{log_, sink_, clock_, never_, {}};
  std::string text_;
  Context context_{[this](std::string_view text) {
                     text_ += text;
                     return Status::Ok();
                   },
                   progress_, log_};
  KernelCommand command_;
};

TEST_F(KernelStatusTest, NotLoaded) {
  const Status status = Show();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(status.message().find("modprobe daxfs"), std::string::npos);
  EXPECT_EQ(text_, "");
}

TEST_F(KernelStatusTest, LoadedAndIdle) {
  Put("sys/module/daxfs/srcversion", "ABC\n");
  Put("proc/sys/kernel/osrelease", "6.12\n");
  ASSERT_TRUE(Show().ok());
  EXPECT_EQ(text_, "daxfs ABC on Linux 6.12\nit holds no memory\n");
}

TEST_F(KernelStatusTest, Ranges) {
  Put("sys/module/daxfs/srcversion", "ABC\n");
  Put("proc/sys/kernel/osrelease", "6.12\n");
  Put("dev/daxfs/control", "");
  Put("dev/daxfs/images", "");
  const auto range = [this](const std::string& name, const std::string& users) {
    const std::string folder = "sys/fs/daxfs/" + name + "/";
    Put(folder + "size", "2097152\n");
    Put(folder + "users", users + "\n");
    Put(folder + "reads", "3\n");
    Put(folder + "read_bytes", "4096\n");
    Put(folder + "huge_faults", "5\n");
    Put(folder + "window_faults", "1\n");
    Put(folder + "window_pages", "32\n");
    Put(folder + "bad_pages", "what\n");
  };
  range("0x100000000", "1");
  range("0x40000000", "0");
  range("dma-buf-17", "2");
  Put("sys/fs/daxfs/other/size", "1\n");
  Put("sys/fs/daxfs/0xzz/size", "1\n");
  ASSERT_TRUE(Show().ok());
  EXPECT_EQ(text_,
            "daxfs ABC on Linux 6.12, attached: images\n"
            "0x40000000  2.0 MiB, held by pinned pages alone\n"
            "  reads        3, 4.0 KiB\n"
            "  faults       5 huge, 1 window of 32 pages, 0 copied, 0 in holes, 0 refused\n"
            "  verified     0 pieces\n"
            "  corruptions  0\n"
            "  memory       0 failures, 0 pages known to have failed\n"
            "0x100000000  2.0 MiB, 1 user\n"
            "  reads        3, 4.0 KiB\n"
            "  faults       5 huge, 1 window of 32 pages, 0 copied, 0 in holes, 0 refused\n"
            "  verified     0 pieces\n"
            "  corruptions  0\n"
            "  memory       0 failures, 0 pages known to have failed\n"
            "dma-buf 17  2.0 MiB, 2 users\n"
            "  reads        3, 4.0 KiB\n"
            "  faults       5 huge, 1 window of 32 pages, 0 copied, 0 in holes, 0 refused\n"
            "  verified     0 pieces\n"
            "  corruptions  0\n"
            "  memory       0 failures, 0 pages known to have failed\n");
  command_.json = true;
  ASSERT_TRUE(Show().ok());
  const auto json = nlohmann::json::parse(text_);
  EXPECT_EQ(json["attached"], nlohmann::json::array({"images"}));
  ASSERT_EQ(json["ranges"].size(), 3U);
  EXPECT_EQ(json["ranges"][2]["dma_buf"], 17);
  EXPECT_EQ(json["ranges"][0]["phys"], 0x40000000U);
  EXPECT_EQ(json["ranges"][1]["window_pages"], 32);
  EXPECT_FALSE(json["ranges"][1].contains("bad_pages"));
}

}  // namespace
}  // namespace daxfs::tools
