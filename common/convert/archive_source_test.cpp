// SPDX-License-Identifier: Apache-2.0
// What a tar means with the profile kArchive, row by row. The lines are those of testing::Listing:
// "path mode uid:gid size mtime.ns links ...".
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/convert/tar_source.hpp"
#include "common/convert/testing/layers.hpp"

namespace daxfs::convert {
namespace {

using oci::testing::Owned;
using oci::testing::TarBuilder;
using oci::testing::TarSpec;
using testing::ArchiveListing;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kRoot = "/ 40755 0:0 0 0.0 2";

std::vector<std::string> Lines(const TarBuilder& tar) {
  Result<std::vector<std::string>> lines = ArchiveListing(tar);
  EXPECT_TRUE(lines.ok()) << lines.status().message();
  return lines.ok() ? *std::move(lines) : std::vector<std::string>{};
}

Status Error(const TarBuilder& tar) { return ArchiveListing(tar).status(); }

TEST(ArchiveSourceTest, RootEntrySetsTheRoot) {
  TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.trusted.t", "1"}}).Add(Owned('5', "./", 01770, 7, 9));
  EXPECT_THAT(Lines(tar), ElementsAre("/ 41770 7:0 0 9.0 2 trusted.t=31"));
  EXPECT_THAT(Error(TarBuilder().File("/", "x")).message(), HasSubstr("no directory"));
  EXPECT_THAT(Error(TarBuilder().Symlink("..", "x")).message(), HasSubstr("no directory"));
}

TEST(ArchiveSourceTest, TimesAndModesAreKept) {
  TarBuilder tar;
  tar.Add(Owned('0', "before", 0644, 0, -86400)).Add(Owned('0', "beyond", 0644, 0, 9223372037));
  tar.Pax({{"mtime", "-0.5"}}).File("negative", "");
  TarSpec link = Owned('2', "link", 0700, 4000000000U, -1);
  link.link = "x";
  tar.Add(link);
  EXPECT_THAT(Lines(tar), ElementsAre(kRoot, "/before 100644 0:0 0 -86400.0 1 ",
                                      "/beyond 100644 0:0 0 9223372037.0 1 ",
                                      "/link 120700 4000000000:0 1 -1.0 1 -> x",
                                      "/negative 100644 0:0 0 -1.500000000 1 "));
}

TEST(ArchiveSourceTest, WhiteoutNamesAreNames) {
  EXPECT_THAT(Lines(TarBuilder()
                        .File(".wh.a", "x")
                        .File(".wh..wh..opq", "")
                        .Directory(".wh..wh.plnk")
                        .File(".wh.", "")),
              ElementsAre(kRoot.substr(0, kRoot.size() - 1) + "3", "/.wh. 100644 0:0 0 0.0 1 ",
                          "/.wh..wh..opq 100644 0:0 0 0.0 1 ", "/.wh..wh.plnk 40755 0:0 0 0.0 2",
                          "/.wh.a 100644 0:0 1 0.0 1 x"));
}

TEST(ArchiveSourceTest, XattrsInEverySpelling) {
  TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.trusted.overlay.opaque", "y"},
           {"SCHILY.xattr.user.both", "1"},
           {"LIBARCHIVE.xattr.user.both", "Mg=="},
           {"LIBARCHIVE.xattr.user.other", "Mw=="},
           {"RHT.security.selinux", "s"},
           {"SCHILY.acl.access", "user::rwx,group::r-x,other::---"}});
  tar.File("f", "");
  EXPECT_THAT(Lines(tar),
              ElementsAre(kRoot,
                          "/f 100644 0:0 0 0.0 1 security.selinux=73 system.posix_acl_access="
                          "0200000001000700ffffffff04000500ffffffff20000000ffffffff "
                          "trusted.overlay.opaque=79 user.both=31 user.other=33 "));
  EXPECT_EQ(Error(TarBuilder().Pax({{"SCHILY.acl.access", "user:ann:rwx"}}).File("f", "")).code(),
            StatusCode::kUnimplemented);
}

TEST(ArchiveSourceTest, TheLastEntryOfADirectoryCountsAlone) {
  TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.user.a", "1"}}).Directory("d", 0700).File("d/f", "x");
  tar.Pax({{"SCHILY.xattr.user.b", "2"}}).Add(Owned('5', "d", 0711, 3, 4));
  EXPECT_THAT(Lines(tar), Contains("/d 40711 3:0 0 4.0 2 user.b=32"));
}

TEST(ArchiveSourceTest, HardLinksChangeNothingOfTheirFile) {
  TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.security.capability", "c"}}).File("f", "data").Symlink("s", "f");
  TarSpec link = Owned('1', "hard", 04711, 5, 77);
  link.link = "f";
  tar.Add(link).HardLink("s2", "s");
  EXPECT_THAT(Lines(tar), ElementsAre(kRoot, "/f 100644 0:0 4 0.0 2 security.capability=63 data",
                                      "/hard 100644 0:0 4 0.0 2 security.capability=63 data",
                                      "/s 120644 0:0 1 0.0 2 -> f", "/s2 120644 0:0 1 0.0 2 -> f"));
}

TEST(ArchiveSourceTest, HardLinksInAnyOrder) {
  const std::string file = "100644 0:0 1 0.0 5 x";
  EXPECT_THAT(
      Lines(TarBuilder()
                .HardLink("a", "b")
                .HardLink("b", "d/c")
                .HardLink("d/c", "e")
                .HardLink("again", "a")
                .File("e", "x")),
      ElementsAre(kRoot.substr(0, kRoot.size() - 1) + "3", "/a " + file, "/again " + file,
                  "/b " + file, "/d 40755 0:0 0 0.0 2 implicit", "/d/c " + file, "/e " + file));
}

TEST(ArchiveSourceTest, HardLinksAndReplacements) {
  // The same name twice is what GNU tar writes for a file that was named twice.
  EXPECT_THAT(Lines(TarBuilder().File("f", "x").HardLink("f", "f")),
              ElementsAre(kRoot, "/f 100644 0:0 1 0.0 1 x"));
  // A link that came first and was replaced is gone; one to what was replaced keeps the old file.
  EXPECT_THAT(Lines(TarBuilder().HardLink("l", "none").File("l", "x")),
              ElementsAre(kRoot, "/l 100644 0:0 1 0.0 1 x"));
  EXPECT_THAT(Lines(TarBuilder().File("a", "old").HardLink("b", "a").File("a", "newer")),
              ElementsAre(kRoot, "/a 100644 0:0 5 0.0 1 newer", "/b 100644 0:0 3 0.0 1 old"));
  EXPECT_THAT(Lines(TarBuilder().HardLink("d/l", "f").File("d", "x").File("f", "y")),
              ElementsAre(kRoot, "/d 100644 0:0 1 0.0 1 x", "/f 100644 0:0 1 0.0 1 y"));
  // What the link replaces may hold its target.
  EXPECT_FALSE(Error(TarBuilder().File("d/f", "x").HardLink("d", "d/f")).ok());
}

TEST(ArchiveSourceTest, BadHardLinksAreErrors) {
  const std::pair<TarBuilder, const char*> table[] = {
      {TarBuilder().HardLink("a", "never"), "hard link to never"},
      {TarBuilder().HardLink("a", "a"), "circle"},
      {TarBuilder().HardLink("a", "b").HardLink("b", "c").HardLink("c", "a"), "circle"},
      {TarBuilder().HardLink("a", "d").Directory("d"), "directory"},
      {TarBuilder().Directory("d").HardLink("a", "d"), "directory"},
      {TarBuilder().HardLink("a", "/"), "directory"},
      {TarBuilder().HardLink("a", "../../../etc/passwd"), "does not have"},
  };
  for (const auto& [tar, message] : table) {
    EXPECT_EQ(Error(tar).code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(Error(tar).message(), HasSubstr(message));
  }
}

// Each link a step further: following one after the other must not take a quadratic number.
TEST(ArchiveSourceTest, LongChainsOfLinks) {
  TarBuilder tar;
  constexpr int kLinks = 50000;
  for (int i = 0; i < kLinks; ++i) tar.HardLink(std::to_string(i), std::to_string(i + 1));
  tar.File(std::to_string(kLinks), "x");
  EXPECT_THAT(Lines(tar), Contains("/0 100644 0:0 1 0.0 50001 x"));
}

TEST(ArchiveSourceTest, TypesOfGnuTar) {
  TarSpec label = Owned('V', "volume", 0, 0, 0);
  TarSpec contiguous = Owned('7', "c", 0644, 0, 0);
  contiguous.data = "data";
  EXPECT_THAT(Lines(TarBuilder().Add(label).Add(contiguous)),
              ElementsAre(kRoot, "/c 100644 0:0 4 0.0 1 data"));
  EXPECT_THAT(Error(TarBuilder().Add(Owned('D', "dump", 0, 0, 0))).message(),
              HasSubstr("unhandled tar header type"));
}

TEST(ArchiveSourceTest, GlobalAttributesAreRefused) {
  EXPECT_TRUE(Error(TarBuilder().Pax({{"comment", "c"}}, 'g').File("a", "")).ok());
  EXPECT_EQ(Error(TarBuilder().Pax({{"uid", "7"}}, 'g').File("a", "")).code(),
            StatusCode::kUnimplemented);
}

TEST(ArchiveSourceTest, NamesCannotEscape) {
  EXPECT_THAT(
      Lines(TarBuilder().File("../../up", "1").Symlink("out", "../../..").File("out/x", "2")),
      ElementsAre(kRoot, "/out 120644 0:0 8 0.0 1 -> ../../..", "/up 100644 0:0 1 0.0 1 1",
                  "/x 100644 0:0 1 0.0 1 2"));
}

}  // namespace
}  // namespace daxfs::convert
