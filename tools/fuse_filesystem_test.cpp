// SPDX-License-Identifier: Apache-2.0
#include "tools/fuse_filesystem.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/convert/testing/layers.hpp"

namespace daxfs::tools {
namespace {

using convert::testing::BuiltImage;
using oci::testing::TarBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Captured final : public base::LogSink {
 public:
  void Write(std::string_view text) override { lines.emplace_back(text); }
  std::vector<std::string> lines;
};

class FuseFilesystemTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TarBuilder tar;
    tar.Pax({{"SCHILY.xattr.user.a", "1"}, {"SCHILY.xattr.user.b", ""}}).File("d/file", "content");
    tar.File("sparse", std::string(100000, 's') + std::string(300000, '\0') + "end");
    tar.Symlink("link", "d/file").File("empty", "");
    const Status applied = convert::testing::ApplyTar(built_, tar.Finish());
    ASSERT_TRUE(applied.ok()) << applied.message();
    ASSERT_TRUE(built_.Finish().ok());
    image_.emplace(built_.Open());
    filesystem_.emplace(*image_, log_);
  }
  std::uint64_t Number(const std::string& path) { return image_->Lookup(path)->number; }
  std::string Bytes(const std::string& path, std::uint64_t offset, std::size_t length) {
    std::string text;
    for (const struct iovec& piece : *filesystem_->Read(Number(path), offset, length)) {
      text.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
    return text;
  }

  BuiltImage built_;
  Captured lines_;
  base::Logger log_{lines_, {}};
  std::optional<format::Image> image_;
  std::optional<FuseFilesystem> filesystem_;
};

TEST_F(FuseFilesystemTest, LookingUp) {
  const auto directory = filesystem_->Lookup(1, "d");
  ASSERT_TRUE(directory.ok());
  EXPECT_TRUE(S_ISDIR(directory->st_mode));
  EXPECT_EQ(filesystem_->Lookup(directory->st_ino, "file")->st_size, 7);
  EXPECT_EQ(filesystem_->Lookup(1, "none").status().error_number(), ENOENT);
  EXPECT_EQ(filesystem_->Lookup(Number("empty"), "x").status().error_number(), ENOTDIR);
  EXPECT_EQ(filesystem_->GetAttributes(99).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(filesystem_->GetAttributes(0).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(*filesystem_->ReadLink(Number("link")), "d/file");
  EXPECT_EQ(filesystem_->ReadLink(1).status().error_number(), EINVAL);
  EXPECT_TRUE(filesystem_->Open(Number("empty")).ok());
  EXPECT_EQ(filesystem_->Open(1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(filesystem_->OpenDirectory(Number("empty")).error_number(), ENOTDIR);
}

TEST_F(FuseFilesystemTest, EntriesByOffset) {
  std::vector<std::string> names;
  std::uint64_t offset = 0;
  for (;;) {
    const auto entry = filesystem_->EntryAt(1, offset, true);
    if (!entry.ok()) {
      EXPECT_EQ(entry.status().code(), StatusCode::kNotFound);
      break;
    }
    EXPECT_EQ(entry->next, offset + 1);
    EXPECT_EQ(entry->good, offset >= 2);
    EXPECT_EQ(filesystem_->EntryAt(1, offset, false)->attributes.st_ino, entry->attributes.st_ino);
    names.push_back(entry->name);
    offset = entry->next;
  }
  EXPECT_EQ(names.size(), 6U);
  EXPECT_THAT(std::vector(names.begin(), names.begin() + 2), ElementsAre(".", ".."));
  EXPECT_EQ(filesystem_->EntryAt(Number("d"), 1, false)->attributes.st_ino, 1U);
}

TEST_F(FuseFilesystemTest, BytesAndHoles) {
  const std::string want = std::string(100000, 's') + std::string(300000, '\0') + "end";
  for (const auto& [offset, length] : std::vector<std::pair<std::uint64_t, std::size_t>>{
           {0, 500000}, {0, 0}, {99999, 2}, {131071, 2}, {400000, 100}, {400003, 1}, {~0ULL, 10}}) {
    const std::string part = offset < want.size() ? want.substr(offset, length) : "";
    EXPECT_EQ(Bytes("sparse", offset, length), part) << offset;
  }
  EXPECT_EQ(*filesystem_->Seek(Number("sparse"), 0, false), 0U);
  EXPECT_EQ(*filesystem_->Seek(Number("sparse"), 0, true), 131072U);
  EXPECT_EQ(*filesystem_->Seek(Number("sparse"), 131072, false), 393216U);
  EXPECT_EQ(*filesystem_->Seek(Number("sparse"), 400000, true), 400003U);
  EXPECT_EQ(filesystem_->Seek(Number("sparse"), 400003, true).status().error_number(), ENXIO);
  EXPECT_EQ(filesystem_->Seek(Number("empty"), 0, false).status().error_number(), ENXIO);
}

TEST_F(FuseFilesystemTest, Xattrs) {
  EXPECT_EQ(*filesystem_->ListXattrs(Number("d/file")), std::string("user.a\0user.b\0", 14));
  EXPECT_EQ(*filesystem_->GetXattr(Number("d/file"), "user.a"), "1");
  EXPECT_EQ(*filesystem_->GetXattr(Number("d/file"), "user.b"), "");
  EXPECT_EQ(filesystem_->GetXattr(Number("d/file"), "user").status().error_number(), ENODATA);
  EXPECT_EQ(*filesystem_->ListXattrs(1), "");
}

// Everything asked of every inode number of images that are wrong: errors, and lines that say so.
TEST(FuseFilesystemDamagedTest, EveryQuestionHasAnAnswer) {
  int images = 0;
  int told = 0;
  for (const auto& file : std::filesystem::directory_iterator(DAXFS_MUST_FAIL_DIR)) {
    Result<format::Image> image = format::Image::Open(file.path());
    if (!image.ok()) continue;
    ++images;
    Captured lines;
    base::Logger log(lines, {});
    FuseFilesystem filesystem(*image, log);
    for (std::uint64_t number = 0; number < 20; ++number) {
      for (std::uint64_t offset = 0; filesystem.EntryAt(number, offset, true).ok(); ++offset) {
        const auto entry = filesystem.EntryAt(number, offset, true);
        static_cast<void>(filesystem.Lookup(number, entry->name));
      }
      static_cast<void>(filesystem.OpenDirectory(number));
      static_cast<void>(filesystem.Open(number));
      static_cast<void>(filesystem.ReadLink(number));
      static_cast<void>(filesystem.Read(number, 0, 100000));
      static_cast<void>(filesystem.Seek(number, 0, true));
      static_cast<void>(filesystem.ListXattrs(number));
      static_cast<void>(filesystem.GetXattr(number, "user.empty"));
    }
    if (lines.lines.empty()) continue;
    ++told;
    EXPECT_THAT(lines.lines.front(), HasSubstr("error: the image is damaged inode="));
  }
  EXPECT_GT(images, 30);
  EXPECT_GT(told, 30);
}

}  // namespace
}  // namespace daxfs::tools
