// SPDX-License-Identifier: Apache-2.0
// What a layer means, row by row. The lines are those of testing::Listing:
// "path mode uid:gid size mtime.ns links ...".
#include "common/convert/tar_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "common/convert/testing/layers.hpp"

namespace daxfs::convert {
namespace {

using oci::testing::Owned;
using oci::testing::TarBuilder;
using oci::testing::TarSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LayerListing;

std::vector<std::string> Lines(const TarBuilder& tar, const Below& below = {}) {
  Result<std::vector<std::string>> lines = LayerListing(tar, below);
  EXPECT_TRUE(lines.ok()) << lines.status().message();
  return lines.ok() ? *std::move(lines) : std::vector<std::string>{};
}

Status Error(const TarBuilder& tar) { return LayerListing(tar).status(); }

// What setcap(8) writes.
std::string Capability() { return {"\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20}; }

TEST(TarSourceTest, RootEntryIsIgnored) {
  EXPECT_THAT(Lines(TarBuilder()
                        .Add(Owned('5', "./", 0700, 7, 9))
                        .Directory("/")
                        .Directory("..")
                        .Directory(".")
                        .File("", "x")),
              IsEmpty());
}

// Readers of tars differ over these, so two of them would show different trees.
TEST(TarSourceTest, AmbiguousHeadersAreRefused) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"uid", "5x"}, {"uid", "x"}, {"gid", "-4"}, {"size", "1x"}, {"SCHILY.realsize", "100"}};
  for (const auto& [key, value] : table) {
    EXPECT_FALSE(Error(TarBuilder().Pax({{key, value}}).File("a", "abc")).ok()) << key << value;
  }
  TarSpec link;
  link.type = '1';
  link.name = "l";
  link.link = "a";
  link.data = std::string(1024, 'x');
  const Status status = Error(TarBuilder().File("a", "1").Pax({{"mtime", "1"}}).Add(link));
  EXPECT_THAT(status.message(), HasSubstr("hard link with a size"));
}

// Small inputs must not become large work.
TEST(TarSourceTest, AmplificationIsRefused) {
  TarBuilder chain;
  std::string deep;
  for (int i = 0; i < 5; ++i) deep += "/ddddddddddddddd";
  for (int i = 0; i < 60; ++i) {
    chain.Symlink("s" + std::to_string(i), "s" + std::to_string(i + 1) + deep);
  }
  EXPECT_THAT(Error(chain.File("s0/0", "")).message(), HasSubstr("4096 bytes"));
  TarBuilder repeats;
  for (int i = 0; i < 300; ++i) {
    const std::string name = "SCHILY.xattr.user." + std::to_string(i);
    repeats.Pax({{name, std::string(60000, 'v')}}).Directory("d");
  }
  EXPECT_THAT(Error(repeats).message(), HasSubstr("extended attributes"));
}

TEST(TarSourceTest, NamesAreCleanedAndCannotEscape) {
  EXPECT_THAT(Lines(TarBuilder()
                        .File("/abs", "1")
                        .File("./dot//x/../slash", "2")
                        .File("../../up", "3")
                        .File("a/../../../etc/up", "4")),
              ElementsAre("/abs 100644 0:0 1 0.0 1 1", "/dot 40755 0:0 0 0.0 2 implicit",
                          "/dot/slash 100644 0:0 1 0.0 1 2", "/etc 40755 0:0 0 0.0 2 implicit",
                          "/etc/up 100644 0:0 1 0.0 1 4", "/up 100644 0:0 1 0.0 1 3"));
}

TEST(TarSourceTest, ParentsNobodyNamesAreImplicit) {
  EXPECT_THAT(Lines(TarBuilder().File("a/b/c", "x").Add(Owned('5', "a", 01777, 5, 6))),
              ElementsAre("/a 41777 5:0 0 6.0 3", "/a/b 40755 0:0 0 0.0 2 implicit",
                          "/a/b/c 100644 0:0 1 0.0 1 x"));
}

TEST(TarSourceTest, ParentsAreResolvedThroughLinksInsideTheLayer) {
  EXPECT_THAT(
      Lines(TarBuilder()
                .Directory("usr/lib")
                .Symlink("lib", "usr/lib")
                .Symlink("abs", "/usr/lib")
                .Symlink("out", "../../../../usr")
                .File("lib/a", "1")
                .File("abs/b", "2")
                .File("out/lib/c", "3")),
      ElementsAre("/abs 120777 0:0 8 0.0 1 -> /usr/lib", "/lib 120777 0:0 7 0.0 1 -> usr/lib",
                  "/out 120777 0:0 15 0.0 1 -> ../../../../usr", "/usr 40755 0:0 0 0.0 3 implicit",
                  "/usr/lib 40755 0:0 0 0.0 2", "/usr/lib/a 100644 0:0 1 0.0 1 1",
                  "/usr/lib/b 100644 0:0 1 0.0 1 2", "/usr/lib/c 100644 0:0 1 0.0 1 3"));
}

TEST(TarSourceTest, DanglingParentLinkMakesItsTarget) {
  EXPECT_THAT(
      Lines(TarBuilder().Symlink("l", "gone/dir").File("l/f", "x")),
      ElementsAre("/gone 40755 0:0 0 0.0 3 implicit", "/gone/dir 40755 0:0 0 0.0 2 implicit",
                  "/gone/dir/f 100644 0:0 1 0.0 1 x", "/l 120777 0:0 8 0.0 1 -> gone/dir"));
}

TEST(TarSourceTest, BadParentsAreErrors) {
  EXPECT_THAT(Error(TarBuilder().File("f", "x").File("f/g", "y")).message(),
              HasSubstr("no directory"));
  EXPECT_THAT(Error(TarBuilder().Symlink("a", "b").Symlink("b", "a").File("a/x", "y")).message(),
              HasSubstr("too many symbolic links"));
  EXPECT_FALSE(Error(TarBuilder().File("f", "x").Symlink("l", "f").File("l/g", "y")).ok());
}

TEST(TarSourceTest, TheLastEntryWins) {
  EXPECT_THAT(Lines(TarBuilder()
                        .File("f", "first")
                        .File("f", "2nd")
                        .Directory("d")
                        .File("d/below", "x")
                        .File("d", "now a file")
                        .File("e", "x")
                        .Directory("e")
                        .Symlink("s", "d")
                        .Directory("s")),
              ElementsAre("/d 100644 0:0 10 0.0 1 now a file", "/e 40755 0:0 0 0.0 2",
                          "/f 100644 0:0 3 0.0 1 2nd", "/s 40755 0:0 0 0.0 2"));
}

TEST(TarSourceTest, DirectoryOverDirectoryMerges) {
  TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.user.a", "1"}, {"SCHILY.xattr.user.b", "1"}}).Directory("d", 0700);
  tar.File("d/f", "x");
  tar.Pax({{"SCHILY.xattr.user.b", "2"}}).Add(Owned('5', "d", 0711, 3, 4));
  EXPECT_THAT(Lines(tar),
              ElementsAre("/d 40711 3:0 0 4.0 2 user.a=31 user.b=32", "/d/f 100644 0:0 1 0.0 1 x"));
}

TEST(TarSourceTest, TimesOutsideTheRangeBecomeZero) {
  TarBuilder tar;
  tar.Add(Owned('0', "before", 0644, 0, -1)).Add(Owned('0', "at", 0644, 0, 9223372036));
  tar.Add(Owned('0', "beyond", 0644, 0, 9223372037));
  tar.Pax({{"mtime", "9223372036.854775807"}}).File("last", "");
  tar.Pax({{"mtime", "9223372036.854775808"}}).File("late", "");
  tar.Pax({{"mtime", "-0.5"}}).File("negative", "");
  EXPECT_THAT(
      Lines(tar),
      ElementsAre("/at 100644 0:0 0 9223372036.0 1 ", "/before 100644 0:0 0 0.0 1 ",
                  "/beyond 100644 0:0 0 0.0 1 ", "/last 100644 0:0 0 9223372036.854775807 1 ",
                  "/late 100644 0:0 0 0.0 1 ", "/negative 100644 0:0 0 0.0 1 "));
}

TEST(TarSourceTest, ModesKeepTheirSpecialBitsButSymlinksHaveNone) {
  TarBuilder tar;
  tar.Add(Owned('0', "suid", 0107755, 1, 0));  // type bits in the mode are cut off
  TarSpec link = Owned('2', "link", 0600, 1, 0);
  link.link = "x";
  tar.Add(link).Add(Owned('6', "fifo", 0622, 0, 0));
  EXPECT_THAT(Lines(tar), ElementsAre("/fifo 10622 0:0 0 0.0 1", "/link 120777 1:0 1 0.0 1 -> x",
                                      "/suid 107755 1:0 0 0.0 1 "));
}

TEST(TarSourceTest, XattrsTheKernelWouldRefuseAreDropped) {
  TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.trusted.overlay.opaque", "y"},
           {"SCHILY.xattr.user.x", "1"},
           {"SCHILY.xattr.security.capability", Capability()},
           {"SCHILY.xattr.nonsense.y", "1"},
           {"SCHILY.xattr.system.posix_acl_access", "a"}});
  tar.File("f", "");
  tar.Pax({{"SCHILY.xattr.user.x", "1"}, {"SCHILY.xattr.security.selinux", "s"}});
  tar.Symlink("l", "f");
  EXPECT_THAT(Lines(tar), ElementsAre("/f 100644 0:0 0 0.0 1 security.capability="
                                      "0100000200200000000000000000000000000000 "
                                      "system.posix_acl_access=61 user.x=31 ",
                                      "/l 120777 0:0 1 0.0 1 -> f security.selinux=73"));
}

TEST(TarSourceTest, CapabilitiesTheKernelWouldRefuseAreErrors) {
  const std::string good = Capability();
  const auto status = [](const std::string& value) {
    return Error(TarBuilder().Pax({{"SCHILY.xattr.security.capability", value}}).File("f", ""));
  };
  EXPECT_TRUE(status(good).ok());
  EXPECT_TRUE(status(std::string("\0\0\0\3", 4) + good.substr(4) + "root").ok());
  for (const std::string& bad :
       {std::string("c"), good.substr(0, 19), good + "root", good + std::string("\0", 1),
        "\2" + good.substr(1), std::string("\1\0\0\3", 4) + good.substr(4)}) {
    EXPECT_EQ(status(bad).code(), StatusCode::kInvalidArgument) << bad.size();
    EXPECT_THAT(status(bad).message(), HasSubstr("no file capabilities"));
  }
}

TEST(TarSourceTest, LargeXattrs) {
  TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.user.large", std::string(65536, 'v')}}).File("f", "");
  EXPECT_THAT(Lines(tar).size(), 1U);
  TarBuilder larger;
  larger.Pax({{"SCHILY.xattr.user.large", std::string(65537, 'v')}}).File("f", "");
  EXPECT_EQ(Error(larger).code(), StatusCode::kInvalidArgument);
}

TEST(TarSourceTest, DevicesAndWhiteoutsWrittenAsDevices) {
  TarSpec device = Owned('3', "dev/tty", 0666, 0, 5);
  device.major = 5;
  TarSpec whiteout = Owned('3', "gone", 0, 0, 5);
  TarSpec disk = Owned('4', "dev/sda", 0660, 0, 5);
  disk.major = 8;
  disk.minor = 1048575;
  EXPECT_THAT(
      Lines(TarBuilder().Add(device).Add(disk).Add(whiteout)),
      ElementsAre("/dev 40755 0:0 0 0.0 2 implicit", "/dev/sda 60660 0:0 0 5.0 1 dev 8:1048575",
                  "/dev/tty 20666 0:0 0 5.0 1 dev 5:0", "/gone 20000 0:0 0 5.0 1 dev 0:0"));
  disk.major = 4096;
  EXPECT_EQ(Error(TarBuilder().Add(disk)).code(), StatusCode::kInvalidArgument);
}

// libarchive writes them for large minors; the header's own field holds a part of the number then.
TEST(TarSourceTest, DeviceNumbersInRecords) {
  TarSpec device = Owned('3', "dev", 0666, 0, 0);
  device.minor = 1;
  const auto tar = [&] {
    return TarBuilder().Pax({{"SCHILY.devmajor", "7"}, {"SCHILY.devminor", "300000"}}).Add(device);
  };
  EXPECT_THAT(Error(tar()).message(), HasSubstr("PAX records"));
  EXPECT_THAT(*testing::ArchiveListing(tar()),
              ::testing::Contains("/dev 20666 0:0 0 0.0 1 dev 7:300000"));
  EXPECT_FALSE(Error(TarBuilder().Pax({{"SCHILY.devminor", "x"}}).Add(device)).ok());
}

TEST(TarSourceTest, WhiteoutsBecomeDevices) {
  EXPECT_THAT(Lines(TarBuilder()
                        .Add(Owned('0', "etc/.wh.passwd", 0600, 7, 99))
                        .File(".wh.top", "")
                        .HardLink(".wh.linked", "etc")  // the name says what it is
                        .Directory(".wh.dir")
                        .File(".wh.back", "")
                        .File("back", "x")
                        .Pax({{"path", ".wh.caf\xe9"}})
                        .File("x", "")),
              ElementsAre("/back 100644 0:0 1 0.0 1 x", "/caf\xe9 20000 0:0 0 0.0 1 dev 0:0",
                          "/dir 20000 0:0 0 0.0 1 dev 0:0", "/etc 40755 0:0 0 0.0 2 implicit",
                          "/etc/passwd 20000 7:0 0 0.0 1 dev 0:0",
                          "/linked 20000 0:0 0 0.0 1 dev 0:0", "/top 20000 0:0 0 0.0 1 dev 0:0"));
}

TEST(TarSourceTest, OpaqueDirectories) {
  EXPECT_THAT(Lines(TarBuilder()
                        .Directory("d")
                        .File("d/before", "")
                        .File("d/.wh..wh..opq", "")
                        .File("d/after", "")
                        .File("e/.wh..wh..opq", "")),
              ElementsAre("/d 40755 0:0 0 0.0 2 trusted.overlay.opaque=79",
                          "/d/after 100644 0:0 0 0.0 1 ", "/d/before 100644 0:0 0 0.0 1 ",
                          "/e 40755 0:0 0 0.0 2 implicit trusted.overlay.opaque=79"));
}

TEST(TarSourceTest, OpaqueRootStaysOnTheRoot) {
  testing::BuiltImage image;
  ASSERT_TRUE(testing::ApplyTar(image, TarBuilder().File(".wh..wh..opq", "").Finish()).ok());
  ASSERT_TRUE(image.Finish().ok());
  EXPECT_THAT(testing::Listing(image.Open()),
              ElementsAre("/ 40755 0:0 0 0.0 2 trusted.overlay.opaque=79"));
}

TEST(TarSourceTest, BadWhiteoutsAreErrors) {
  for (const char* name : {".wh.", ".wh..", ".wh...", "d/.wh.."}) {
    EXPECT_EQ(Error(TarBuilder().File(name, "")).message(),
              std::string(name) + ": invalid whiteout name");
  }
  EXPECT_THAT(Error(TarBuilder().File("a", "").File(".wh.a", "")).message(),
              HasSubstr("own layer"));
  EXPECT_THAT(Error(TarBuilder().File(".wh.a", "").File(".wh.a", "")).message(),
              HasSubstr("own layer"));
}

TEST(TarSourceTest, WithNothingBelowWhatIsDeletedGoesAndNoMarkStays) {
  TarSpec device = Owned('3', "dev", 0, 0, 0);
  EXPECT_THAT(
      Lines(TarBuilder()
                .File(".wh.never", "")
                .File("made/for/.wh.it", "")
                .File("file", "x")
                .File(".wh.file", "")
                .Directory("d")
                .File("d/e/f", "x")
                .File(".wh.d", "")
                .File(".wh.back", "")
                .File("back", "x")
                .Add(device),
            {.nothing = true}),
      ElementsAre("/back 100644 0:0 1 0.0 1 x", "/dev 20000 0:0 0 0.0 1 dev 0:0",
                  "/made 40755 0:0 0 0.0 3 implicit", "/made/for 40755 0:0 0 0.0 2 implicit"));
  for (const char* name : {".wh.", ".wh..", ".wh..."}) {
    EXPECT_EQ(LayerListing(TarBuilder().File(name, ""), {.nothing = true}).status().code(),
              StatusCode::kInvalidArgument);
  }
}

// As containerd's walk over what it has unpacked: parents that no entry has named are not of that.
TEST(TarSourceTest, WithNothingBelowOpaqueDirectoriesLoseWhatNobodyNamed) {
  EXPECT_THAT(
      Lines(TarBuilder()
                .Directory("d")
                .File("d/kept", "1")
                .Directory("d/named")
                .File("d/named/unnamed/gone", "2")
                .File("d/unnamed/gone", "3")
                .File("other/unnamed", "4")
                .File("d/.wh..wh..opq", "")
                .File("d/later/kept", "5")
                .File("d/.wh..wh..opq", ""),
            {.nothing = true}),
      ElementsAre("/d 40755 0:0 0 0.0 4", "/d/kept 100644 0:0 1 0.0 1 1",
                  "/d/later 40755 0:0 0 0.0 2 implicit", "/d/later/kept 100644 0:0 1 0.0 1 5",
                  "/d/named 40755 0:0 0 0.0 2", "/other 40755 0:0 0 0.0 2 implicit",
                  "/other/unnamed 100644 0:0 1 0.0 1 4"));
}

// What was known of an entry goes with it, whatever comes in its place.
TEST(TarSourceTest, WhatComesInTheOldPlaceIsNew) {
  EXPECT_THAT(Lines(TarBuilder()
                        .Directory("d")
                        .File("d/.wh..wh..opq", "")
                        .File("d", "")
                        .Directory("d")
                        .File("d/unnamed/gone", "")
                        .File("d/.wh..wh..opq", ""),
                    {.nothing = true}),
              ElementsAre("/d 40755 0:0 0 0.0 2"));
  const Result<std::vector<std::string>> lines = testing::ArchiveListing(
      TarBuilder().HardLink("a", "later").File("a", "own").File("later", "other"));
  ASSERT_TRUE(lines.ok()) << lines.status().message();
  EXPECT_THAT(*lines, ::testing::IsSupersetOf(
                          {"/a 100644 0:0 3 0.0 1 own", "/later 100644 0:0 5 0.0 1 other"}));
}

TEST(TarSourceTest, ParentsNobodyNamesHaveTheGroupOfTheirDirectoryIfThatPassesItOn) {
  TarSpec passing = Owned('5', "d", 02755, 5, 0);
  passing.gid = 7;
  EXPECT_THAT(Lines(TarBuilder().Add(passing).File("d/e/f/g", "x")),
              ElementsAre("/d 42755 5:7 0 0.0 3", "/d/e 40755 0:7 0 0.0 3 implicit",
                          "/d/e/f 40755 0:0 0 0.0 2 implicit", "/d/e/f/g 100644 0:0 1 0.0 1 x"));
}

TEST(TarSourceTest, ParentsNobodyNamesAreThoseBelow) {
  std::vector<std::string> asked;
  Below below;
  below.find = [&](const std::string& path) -> Result<std::optional<LowerDirectory>> {
    asked.push_back(path);
    if (path == "mine") return std::optional<LowerDirectory>();
    LowerDirectory lower;
    lower.attributes.mode = kTypeDirectory | 01777U;
    lower.attributes.uid = 7;
    lower.xattrs["user.a"] = "b";
    return std::optional<LowerDirectory>(lower);
  };
  TarBuilder tar;
  tar.Directory("named").File("named/a/b", "x").File("named/a/c", "y").File("mine/d", "z");
  tar.File("late/f", "").Pax({{"SCHILY.xattr.user.b", "1"}}).Directory("late");
  EXPECT_THAT(
      Lines(tar, below),
      ElementsAre("/late 40755 0:0 0 0.0 2 user.a=62 user.b=31", "/late/f 100644 0:0 0 0.0 1 ",
                  "/mine 40755 0:0 0 0.0 2 implicit", "/mine/d 100644 0:0 1 0.0 1 z",
                  "/named 40755 0:0 0 0.0 3", "/named/a 41777 7:0 0 0.0 2 user.a=62",
                  "/named/a/b 100644 0:0 1 0.0 1 x", "/named/a/c 100644 0:0 1 0.0 1 y"));
  EXPECT_THAT(asked, ElementsAre("named/a", "mine", "late"));
  below.find = [](const std::string&) -> Result<std::optional<LowerDirectory>> {
    return FailedPreconditionError("asked");
  };
  EXPECT_EQ(LayerListing(tar, below).status().code(), StatusCode::kFailedPrecondition);
}

TEST(TarSourceTest, AufsLeftoversAreDropped) {
  EXPECT_THAT(Lines(TarBuilder()
                        .Directory(".wh..wh.plnk")
                        .File(".wh..wh.plnk/1.2", "x")
                        .File(".wh..wh.aufs", "x")
                        .File("a/.wh..wh.orph", "")
                        .File("keep", "")),
              ElementsAre("/keep 100644 0:0 0 0.0 1 "));
}

TEST(TarSourceTest, HardLinks) {
  TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.security.capability", Capability()}, {"SCHILY.xattr.user.u", "u"}});
  tar.File("d/f", "data").Symlink("s", "d/f").Symlink("dir", "d");
  TarSpec link = Owned('1', "hard", 04711, 5, 77);
  link.link = "/d/../dir/f";
  tar.Add(link);  // owner, mode and time go over, the capability does not survive the chown
  tar.HardLink("s2", "s");
  EXPECT_THAT(
      Lines(tar),
      ElementsAre("/d 40755 0:0 0 0.0 2 implicit", "/d/f 104711 5:0 4 77.0 2 user.u=75 data",
                  "/dir 120777 0:0 1 0.0 1 -> d", "/hard 104711 5:0 4 77.0 2 user.u=75 data",
                  "/s 120777 0:0 3 0.0 2 -> d/f", "/s2 120777 0:0 3 0.0 2 -> d/f"));
}

TEST(TarSourceTest, HardLinkTargetsMayGoAwayLater) {
  EXPECT_THAT(Lines(TarBuilder().File("a", "data").HardLink("b", "a").File("a", "new")),
              ElementsAre("/a 100644 0:0 3 0.0 1 new", "/b 100644 0:0 4 0.0 1 data"));
}

TEST(TarSourceTest, BadHardLinksAreErrors) {
  const TarBuilder cases[] = {
      TarBuilder().HardLink("a", "later").File("later", ""),
      TarBuilder().File("a", "").HardLink("a", "a"),
      TarBuilder().Directory("d").HardLink("a", "d"),
      TarBuilder().Directory("d").HardLink("a", "d/"),
      TarBuilder().HardLink("a", "/"),
      TarBuilder().HardLink("a", "../../../etc/passwd"),
      TarBuilder().HardLink("a", ""),
      TarBuilder().File("f", "").HardLink("a", "f/x"),
  };
  for (const TarBuilder& tar : cases) {
    EXPECT_EQ(Error(tar).code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(Error(tar).message(), HasSubstr("hard link to"));
  }
}

TEST(TarSourceTest, NamesTooLongForTheFormat) {
  EXPECT_EQ(Error(TarBuilder().GnuLong('L', std::string(256, 'n')).File("x", "")).code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(Error(TarBuilder().GnuLong('L', std::string(255, 'n')).File("x", "")).ok());
  std::string deep;
  while (deep.size() < 4096) deep += "d/";
  EXPECT_EQ(Error(TarBuilder().GnuLong('L', deep + "f").File("x", "")).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Error(TarBuilder().Symlink("l", "")).code(), StatusCode::kInvalidArgument);
}

TEST(TarSourceTest, TheSameTarGivesTheSameBytesAndReplacedDataIsWaste) {
  const std::string big(50000, 'b');
  const TarBuilder tar = TarBuilder().File("a", big).File("b", "x").File("a", "new").File("c", big);
  std::string first;
  for (int i = 0; i < 2; ++i) {
    testing::BuiltImage image;
    ASSERT_TRUE(testing::ApplyTar(image, tar.Finish()).ok());
    ASSERT_TRUE(image.Finish().ok());
    if (first.empty()) first = image.bytes();
    EXPECT_EQ(image.bytes(), first);
  }
}

TEST(TarSourceTest, TypesContainerdDoesNotKnow) {
  for (const char type : {'S', '7', 'V'}) {
    TarSpec spec = Owned(type, "odd", 0644, 0, 0);
    if (type == 'S') spec.magic = std::string("ustar  \0", 8);
    EXPECT_THAT(Error(TarBuilder().Add(spec).File("next", "x")).message(),
                HasSubstr("unhandled tar header type " + std::to_string(type)));
  }
}

// "" takes a value of the header away from nobody: the field of the header counts.
TEST(TarSourceTest, EmptyPaxRecordsLeaveTheHeader) {
  TarSpec spec = Owned('0', "own", 0644, 5, 77);
  spec.gid = 4000000;
  TarBuilder tar;
  tar.Pax({{"path", "x"}, {"path", ""}, {"uid", ""}, {"gid", ""}, {"mtime", ""}}).Add(spec);
  EXPECT_THAT(Lines(tar), ElementsAre("/own 100644 5:4000000 0 77.0 1 "));
  EXPECT_FALSE(Error(TarBuilder().Pax({{"size", ""}}).File("a", "x")).ok());
}

TEST(TarSourceTest, ExtendedHeadersMayRepeat) {
  TarBuilder tar;
  tar.Pax({{"path", "first"}, {"uid", "7"}}).Pax({{"path", "second"}}).File("x", "");
  tar.GnuLong('L', "one").GnuLong('L', std::string("two\0\0\0", 6)).File("y", "");
  EXPECT_THAT(Lines(tar), ElementsAre("/second 100644 0:0 0 0.0 1 ", "/two 100644 0:0 0 0.0 1 "));
}

TEST(TarSourceTest, WhiteoutsInEveryPlace) {
  EXPECT_THAT(
      Lines(TarBuilder()
                .File("missing/dir/.wh.f", "")
                .Symlink("link", "missing")
                .File("link/.wh.through", "")
                .Directory("opaque")
                .File("opaque/.wh..wh..opq", "")
                .File("opaque/.wh.inside", "")
                .HardLink("hard", "missing/dir/f")),  // of a whiteout, as containerd does
      ElementsAre("/hard 20644 0:0 0 0.0 2 dev 0:0", "/link 120777 0:0 7 0.0 1 -> missing",
                  "/missing 40755 0:0 0 0.0 3 implicit", "/missing/dir 40755 0:0 0 0.0 2 implicit",
                  "/missing/dir/f 20644 0:0 0 0.0 2 dev 0:0",
                  "/missing/through 20000 0:0 0 0.0 1 dev 0:0",
                  "/opaque 40755 0:0 0 0.0 2 trusted.overlay.opaque=79",
                  "/opaque/inside 20000 0:0 0 0.0 1 dev 0:0"));
}

// eStargz puts entries of its own into a layer; unpacked by anybody else they are files.
TEST(TarSourceTest, EstargzEntriesAreFiles) {
  EXPECT_THAT(Lines(TarBuilder()
                        .File(".prefetch.landmark", "\xf")
                        .File(".no.prefetch.landmark", "\xf")
                        .File("stargz.index.json", "{}"))
                  .size(),
              3U);
}

// Checksums of bytes above 127 were once summed as signed ones.
TEST(TarSourceTest, SignedChecksums) {
  std::string tar = TarBuilder().File("caf\xe9", "x").Finish();
  tar.replace(148, 8, 8, ' ');
  int sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += static_cast<signed char>(tar[i]);
  char text[8] = {};
  std::snprintf(text, sizeof(text), "%06o", static_cast<unsigned>(sum));
  tar.replace(148, 7, text, 7);
  testing::BuiltImage image;
  EXPECT_TRUE(testing::ApplyTar(image, tar).ok());
  tar[148] = static_cast<char>(tar[148] ^ 1);
  testing::BuiltImage other;
  EXPECT_FALSE(testing::ApplyTar(other, tar).ok());
}

TEST(TarSourceTest, SizesBeyondTheStream) {
  TarSpec large = Owned('0', "large", 0644, 0, 0);
  for (const std::string& size : {std::string("\x80\0\0\0\0\0\0\x40\0\0\0\0", 12),  // 2^38
                                  std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                                  std::string("\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                                  std::string("77777777777\0", 12)}) {
    large.raw = {{124, size}};
    EXPECT_FALSE(Error(TarBuilder().Add(large).File("next", "x")).ok());
  }
  EXPECT_FALSE(Error(TarBuilder().Pax({{"size", "9223372036854775807"}}).File("a", "x")).ok());
  EXPECT_FALSE(Error(TarBuilder().Pax({{"size", "18446744073709551615"}}).File("a", "x")).ok());
}

// A file of 2^40 bytes that is one hole costs nothing.
TEST(TarSourceTest, SparseFilesMayBeLargerThanAnyMemory) {
  TarBuilder tar;
  const std::string map = "1\n1099511627771\n5\n";
  tar.Pax({{"GNU.sparse.major", "1"},
           {"GNU.sparse.minor", "0"},
           {"GNU.sparse.name", "huge"},
           {"GNU.sparse.realsize", "1099511627776"}});
  tar.File("GNUSparseFile.0/huge", map + std::string(512 - map.size(), '\0') + "tail!");
  testing::BuiltImage image;
  ASSERT_TRUE(testing::ApplyTar(image, tar.Finish()).ok());
  ASSERT_TRUE(image.Finish().ok());
  EXPECT_LT(image.bytes().size(), std::size_t{8} << 20U);
}

// A long walk for each link of each entry, a million parents from a few names, lists copied again
// and again: small tars that would take minutes or gigabytes.
TEST(TarSourceTest, WorkHasABudget) {
  std::string deep;
  while (deep.size() < 3900) deep += "/d";
  TarBuilder links;
  links.GnuLong('L', deep).Directory("x");
  for (int i = 0; i < 200; ++i) {
    const std::string next = i == 199 ? deep : deep + "/l" + std::to_string(i + 1);
    links.GnuLong('L', deep + "/l" + std::to_string(i)).GnuLong('K', next).Symlink("x", "x");
  }
  links.GnuLong('K', deep + "/l0").Symlink("start", "x");
  for (int i = 0; i < 200; ++i) links.File("start/f" + std::to_string(i), "");
  EXPECT_EQ(Error(links).code(), StatusCode::kResourceExhausted);
  TarBuilder parents;
  for (int i = 0; i < 600; ++i) parents.GnuLong('L', std::to_string(i) + deep + "/f").File("x", "");
  EXPECT_EQ(Error(parents).code(), StatusCode::kResourceExhausted);
  TarBuilder lists;
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 3000; ++i) many.emplace_back("SCHILY.xattr.user." + std::to_string(i), "");
  lists.Pax(many).Directory("d");
  for (int i = 0; i < 30000; ++i) lists.File("d/.wh..wh..opq", "");
  EXPECT_TRUE(Error(lists).ok());
}

TEST(TarSourceTest, EmptyTars) {
  EXPECT_THAT(Lines(TarBuilder()), IsEmpty());
  testing::BuiltImage image;
  EXPECT_TRUE(testing::ApplyTar(image, "").ok());
  EXPECT_TRUE(image.Finish().ok());
}

}  // namespace
}  // namespace daxfs::convert
