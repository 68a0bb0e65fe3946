// SPDX-License-Identifier: Apache-2.0
#include "common/convert/flatten.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/convert/testing/layers.hpp"

namespace daxfs::convert {
namespace {

using oci::testing::TarBuilder;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Lines(const std::vector<TarBuilder>& tars) {
  Result<std::vector<std::string>> lines = testing::FlatListing(tars);
  EXPECT_TRUE(lines.ok()) << lines.status().message();
  return lines.ok() ? *std::move(lines) : std::vector<std::string>{};
}

TEST(FlattenTest, NothingAndOneLayer) {
  EXPECT_THAT(Lines({}), IsEmpty());
  EXPECT_THAT(Lines({TarBuilder().File("a", "1")}), ElementsAre("/a 100644 0:0 1 0.0 1 1"));
}

TEST(FlattenTest, UpperFilesReplaceAndWhiteoutsRemove) {
  EXPECT_THAT(Lines({TarBuilder().File("a", "1").File("b", "1").File("d/x", "1").File("d/y", "1"),
                     TarBuilder().File("a", "2").File(".wh.b", "").File("d/.wh.x", ""),
                     TarBuilder().File("b", "3").File(".wh.absent", "")}),
              ElementsAre("/a 100644 0:0 1 0.0 1 2", "/b 100644 0:0 1 0.0 1 3",
                          "/d 40755 0:0 0 0.0 2 implicit", "/d/y 100644 0:0 1 0.0 1 1"));
}

TEST(FlattenTest, DirectoriesMergeAndImplicitOnesKeepTheLowerAttributes) {
  TarBuilder lower;
  lower.Pax({{"SCHILY.xattr.user.k", "v"}}).Directory("tmp", 01777).Directory("root", 0700);
  EXPECT_THAT(Lines({lower, TarBuilder().File("tmp/new", "x"),
                     TarBuilder().Directory("root", 0711).File("root/f", "y")}),
              ElementsAre("/root 40711 0:0 0 0.0 2", "/root/f 100644 0:0 1 0.0 1 y",
                          "/tmp 41777 0:0 0 0.0 2 user.k=76", "/tmp/new 100644 0:0 1 0.0 1 x"));
}

TEST(FlattenTest, OpaqueHidesOnlyWhatIsBelow) {
  EXPECT_THAT(
      Lines({TarBuilder().File("d/old", "1").Directory("d/sub").File("d/sub/x", "1"),
             TarBuilder().Directory("d", 0700).File("d/new", "2").File("d/.wh..wh..opq", ""),
             TarBuilder().File("d/third", "3")}),
      ElementsAre("/d 40700 0:0 0 0.0 2", "/d/new 100644 0:0 1 0.0 1 2",
                  "/d/third 100644 0:0 1 0.0 1 3"));
}

TEST(FlattenTest, OpaqueRootHidesEverything) {
  EXPECT_THAT(Lines({TarBuilder().File("old", "1"),
                     TarBuilder().File(".wh..wh..opq", "").File("new", "2")}),
              ElementsAre("/new 100644 0:0 1 0.0 1 2"));
}

TEST(FlattenTest, KindsReplaceEachOther) {
  EXPECT_THAT(Lines({TarBuilder().File("a/f", "1").File("b", "1").Symlink("c", "a"),
                     TarBuilder().File("a", "2").File("b/g", "2").Directory("c")}),
              ElementsAre("/a 100644 0:0 1 0.0 1 2", "/b 40755 0:0 0 0.0 2 implicit",
                          "/b/g 100644 0:0 1 0.0 1 2", "/c 40755 0:0 0 0.0 2"));
}

TEST(FlattenTest, LinksAreResolvedInTheirOwnLayer) {
  // "lib" is a link in the lower layer only: the upper one names a directory.
  EXPECT_THAT(
      Lines({TarBuilder().Directory("usr").Symlink("lib", "usr"), TarBuilder().File("lib/x", "2")}),
      ElementsAre("/lib 40755 0:0 0 0.0 2 implicit", "/lib/x 100644 0:0 1 0.0 1 2",
                  "/usr 40755 0:0 0 0.0 2"));
}

TEST(FlattenTest, HardLinksStayTogether) {
  EXPECT_THAT(Lines({TarBuilder().File("a", "1").HardLink("b", "a").HardLink("d/c", "a"),
                     TarBuilder().File(".wh.a", "").File("x", "2").HardLink("d/y", "x")}),
              ElementsAre("/b 100644 0:0 1 0.0 2 1", "/d 40755 0:0 0 0.0 2 implicit",
                          "/d/c 100644 0:0 1 0.0 2 1", "/d/y 100644 0:0 1 0.0 2 2",
                          "/x 100644 0:0 1 0.0 2 2"));
}

}  // namespace
}  // namespace daxfs::convert
