// SPDX-License-Identifier: Apache-2.0
// Images that must never change by accident: tests/golden/<case>/{listing.txt,image.sha256}. A
// change on purpose is made with DAXFS_UPDATE_GOLDEN=1 and shows in review as a change of both
// files. The listing is for people.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/base/hex.hpp"
#include "common/convert/testing/layers.hpp"
#include "common/format/verify.hpp"
#include "common/oci/digest.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs {
namespace {

using convert::BuildOptions;
using convert::Profile;
using convert::testing::BuiltImage;
using oci::testing::TarBuilder;
using oci::testing::TarSpec;

struct Case {
  std::string name;
  BuildOptions options;
  std::function<TarBuilder()> tar;
};

TarSpec Special(char type, const std::string& name, std::uint32_t major, std::uint32_t minor) {
  TarSpec spec;
  spec.type = type;
  spec.name = name;
  spec.mode = 0640;
  spec.uid = 1000;
  spec.gid = 70000;
  spec.mtime = 1700000000;
  spec.major = major;
  spec.minor = minor;
  return spec;
}

TarBuilder EveryKind() {
  TarBuilder tar;
  tar.Directory("etc", 0755).File("etc/hostname", "golden\n").File("etc/empty", "");
  tar.Symlink("etc/link", "hostname").HardLink("etc/hard", "etc/hostname");
  tar.Add(Special('3', "dev/null", 1, 3)).Add(Special('4', "dev/sda", 8, 0));
  tar.Add(Special('6', "run/fifo", 0, 0)).Directory("tmp", 01777);
  tar.Pax({{"mtime", "1700000000.123456789"}, {"uid", "4000000000"}}).File("times", "t");
  tar.Pax({{"path", "caf\xe9\xff"}}).File("x", "not UTF-8");
  return tar;
}

TarBuilder Whiteouts() {
  TarBuilder tar;
  tar.File("a/.wh.gone", "").Directory("opaque").File("opaque/.wh..wh..opq", "");
  tar.File("opaque/new", "n").File(".wh.top", "");
  return tar;
}

TarBuilder Xattrs() {
  TarBuilder tar;
  const std::string capability("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  tar.Pax({{"SCHILY.xattr.security.capability", capability}}).File("ping", "p");
  tar.Pax({{"SCHILY.xattr.user.a", "1"}, {"SCHILY.xattr.user.b", ""}}).File("one", "1");
  tar.Pax({{"SCHILY.xattr.user.b", ""}, {"SCHILY.xattr.user.a", "1"}}).Directory("same");
  return tar;
}

// Sizes around every boundary; the bytes are of no pattern that a hash or a shift would hide.
TarBuilder Sizes() {
  TarBuilder tar;
  unsigned state = 1;
  for (const unsigned size :
       {0U, 1U, 4095U, 4096U, 4097U, 65536U, 1048576U, 1048577U, 2097152U, 3000000U}) {
    std::string content(size, '\0');
    for (char& c : content) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24U);
    tar.File("size-" + std::to_string(size), content);
    tar.File("twice-" + std::to_string(size), content);
  }
  return tar;
}

TarBuilder Directories() {
  TarBuilder tar;
  for (const int count : {1, 136, 272, 5000}) {
    for (int i = 0; i < count; ++i) {
      const std::string number = std::to_string(i);
      const std::string name = number + std::string(200 - number.size(), 'n');
      const std::string path = "d" + std::to_string(count) + "/" + name;
      tar.GnuLong('L', path).File("x", "");
    }
  }
  return tar;
}

std::vector<Case> Cases() {
  BuildOptions plain;
  BuildOptions large;
  large.layout.huge_min_bytes = std::uint64_t{2} << 20U;
  BuildOptions pages64;
  pages64.layout.data_align_shift = 16;
  return {
      {"empty", plain, [] { return TarBuilder(); }},
      {"every-kind", plain, EveryKind},
      {"whiteouts", plain, Whiteouts},
      {"xattrs", plain, Xattrs},
      {"sizes-huge-2M", large, Sizes},
      {"sizes-align-64K", pages64, Sizes},
      {"directories", plain, Directories},
  };
}

std::string Escaped(const std::string& line) {
  std::string text;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte < 0x7f && c != '\\';
    text += plain ? std::string(1, c) : "\\x" + base::ToHex(std::as_bytes(std::span(&c, 1)));
  }
  return text;
}

std::string Build(const Case& golden, std::string* listing) {
  BuiltImage image(golden.options);
  const std::string tar = golden.tar().Finish();
  const Status applied = convert::testing::ApplyTar(image, tar);
  EXPECT_TRUE(applied.ok()) << applied.message();
  EXPECT_TRUE(image.Finish(convert::testing::SourceOf(tar)).ok());
  const format::Image opened = image.Open();
  const auto verified = format::Verify(opened, format::VerifyLevel::kFull);
  EXPECT_TRUE(verified.ok()) << verified.status().message();
  const std::vector<std::string> lines = convert::testing::Listing(opened);
  for (const std::string& line : lines) *listing += Escaped(line) + "\n";
  if (const char* folder = std::getenv("DAXFS_GOLDEN_IMAGES"))  // for whoever spoils them
    os::testing::WriteFile(std::string(folder) + "/" + golden.name + ".daxfs", image.bytes());
  return oci::Sha256::Of(image.raw()).Hex() + "\n";
}

TEST(GoldenTest, ImagesAreTheSameForEver) {
  const bool update = std::getenv("DAXFS_UPDATE_GOLDEN") != nullptr;
  for (const Case& golden : Cases()) {
    const std::string folder = std::string(DAXFS_GOLDEN_DIR) + "/" + golden.name;
    std::string listing;
    const std::string digest = Build(golden, &listing);
    if (listing.size() > 100000)
      listing = oci::Sha256::Of(std::as_bytes(std::span(listing))).Hex() + "\n";
    if (update) {
      std::filesystem::create_directories(folder);
      os::testing::WriteFile(folder + "/image.sha256", digest);
      os::testing::WriteFile(folder + "/listing.txt", listing);
    }
    ASSERT_TRUE(std::filesystem::exists(folder + "/image.sha256")) << golden.name;
    EXPECT_EQ(os::testing::ReadFile(folder + "/listing.txt"), listing) << golden.name;
    EXPECT_EQ(os::testing::ReadFile(folder + "/image.sha256"), digest) << golden.name;
  }
}

}  // namespace
}  // namespace daxfs
