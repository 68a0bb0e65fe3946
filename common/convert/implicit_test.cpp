// SPDX-License-Identifier: Apache-2.0
#include "common/convert/implicit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/convert/directory_source.hpp"
#include "common/convert/testing/build.hpp"
#include "common/convert/testing/layers.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::convert {
namespace {

class ImplicitTest : public ::testing::Test {
 protected:
  std::string Make(const std::string& name, mode_t mode) {
    const std::string path = scratch_.Path(name);
    EXPECT_EQ(::mkdir(path.c_str(), 0755), 0);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  // "none" or the permissions.
  static std::string Found(const FindLower& find, const std::string& path) {
    const Result<std::optional<LowerDirectory>> found = find(path);
    EXPECT_TRUE(found.ok()) << found.status().message();
    if (!found.ok() || !*found) return "none";
    char text[8];
    std::snprintf(text, sizeof(text), "%04o", (*found)->attributes.mode & 07777U);
    return text;
  }
  // The images of what lies there now.
  FindLower InImages(const std::vector<std::string>& names) {
    std::vector<const format::Image*> images;
    for (const std::string& name : names) {
      built_.push_back(std::make_unique<testing::BuiltImage>());
      testing::CountingMonitor monitor;
      EXPECT_TRUE(AddDirectory(built_.back()->builder(), scratch_.Path(name), monitor).ok());
      EXPECT_TRUE(built_.back()->Finish().ok());
      opened_.push_back(std::make_unique<format::Image>(built_.back()->Open()));
      images.push_back(opened_.back().get());
    }
    return FindInImages(std::move(images));
  }
  os::testing::Scratch scratch_;

 private:
  std::vector<std::unique_ptr<testing::BuiltImage>> built_;
  std::vector<std::unique_ptr<format::Image>> opened_;
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
  ASSERT_EQ(::symlink("tmp/../out/.//.", scratch_.Path("bottom/winding").c_str()), 0);
  ASSERT_EQ(::symlink("/", scratch_.Path("bottom/root").c_str()), 0);
  const std::pair<const char*, const char*> cases[] = {
      {"both", "0700"},      {"tmp", "1777"},    {"tmp/deep", "0711"}, {"nowhere", "none"},
      {"nowhere/x", "none"}, {"hidden", "none"}, {"link", "1777"},     {"link/deep", "0711"},
      {"out", "0755"},       {"loop", "none"},   {"hidden/x", "none"}, {"winding", "0755"},
      {"root/tmp", "1777"},  {"root", "0755"},
  };
  const FindLower directories = FindInDirectories({scratch_.Path("top"), scratch_.Path("bottom")});
  const FindLower images = InImages({"top", "bottom"});
  for (const auto& [path, expected] : cases) {
    EXPECT_EQ(Found(directories, path), expected) << path;
    EXPECT_EQ(Found(images, path), expected) << path << ", of an image";
  }
}

TEST_F(ImplicitTest, AnImagesDirectoryComesWithWhatContainersSeeOfIt) {
  oci::testing::TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.user.kept", "value"}});
  tar.Add(oci::testing::Owned('5', "tmp", 01777, 7, 1000000000));
  tar.Directory("opaque").File("opaque/.wh..wh..opq", "");
  testing::BuiltImage image;
  ASSERT_TRUE(testing::ApplyTar(image, tar.Finish()).ok());
  ASSERT_TRUE(image.Finish().ok());
  const format::Image opened = image.Open();
  const FindLower find = FindInImages({&opened});
  const Result<std::optional<LowerDirectory>> found = find("tmp");
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ((*found)->attributes.mode, 0041777U);
  EXPECT_EQ((*found)->attributes.uid, 7U);
  EXPECT_EQ((*found)->attributes.mtime_seconds, 1000000000);
  EXPECT_EQ((*found)->xattrs, (XattrMap{{"user.kept", "value"}}));
  const Result<std::optional<LowerDirectory>> marked = find("opaque");
  ASSERT_TRUE(marked.ok() && *marked);
  EXPECT_TRUE((*marked)->xattrs.empty()) << "marks are the overlay's";
}

TEST_F(ImplicitTest, ALayerThatIsNotThereIsAnError) {
  EXPECT_EQ(FindInDirectories({scratch_.Path("none")})("a").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace daxfs::convert
