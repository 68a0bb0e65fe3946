// SPDX-License-Identifier: Apache-2.0
#include "common/convert/implicit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/os/testing/scratch.hpp"

namespace daxfs::convert {
namespace {

class ImplicitTest : public testing::Test {
 protected:
  std::string Make(const std::string& name, mode_t mode) {
    const std::string path = scratch_.Path(name);
    EXPECT_EQ(::mkdir(path.c_str(), 0755), 0);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  // "none" or the permissions.
  std::string Found(const std::string& path) {
    const Result<std::optional<LowerDirectory>> found =
        FindInDirectories({scratch_.Path("top"), scratch_.Path("bottom")})(path);
    EXPECT_TRUE(found.ok()) << found.status().message();
    if (!found.ok() || !*found) return "none";
    char text[8];
    std::snprintf(text, sizeof(text), "%04o", (*found)->attributes.mode & 07777U);
    return text;
  }
  os::testing::Scratch scratch_;
};

TEST_F(ImplicitTest, TheUppermostLayerThatHasTheNameDecides) {
  Make("top", 0755);
  Make("bottom", 0755);
  Make("top/both", 0700);
  Make("bottom/both", 0755);
  Make("bottom/tmp", 01777);
  Make("bottom/tmp/deep", 0711);
  Make("bottom/hidden", 0711);
  os::testing::WriteFile(scratch_.Path("top/hidden"), "no directory");
  ASSERT_EQ(::symlink("/tmp", scratch_.Path("bottom/link").c_str()), 0);
  ASSERT_EQ(::symlink("../../../both", scratch_.Path("bottom/out").c_str()), 0);
  ASSERT_EQ(::symlink("loop", scratch_.Path("bottom/loop").c_str()), 0);
  const std::pair<const char*, const char*> cases[] = {
      {"both", "0700"},      {"tmp", "1777"},    {"tmp/deep", "0711"}, {"nowhere", "none"},
      {"nowhere/x", "none"}, {"hidden", "none"}, {"link", "1777"},     {"link/deep", "0711"},
      {"out", "0755"},       {"loop", "none"},   {"hidden/x", "none"},
  };
  for (const auto& [path, expected] : cases) EXPECT_EQ(Found(path), expected) << path;
}

TEST_F(ImplicitTest, ALayerThatIsNotThereIsAnError) {
  EXPECT_EQ(FindInDirectories({scratch_.Path("none")})("a").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace daxfs::convert
