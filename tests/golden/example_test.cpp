// SPDX-License-Identifier: Apache-2.0
// The worked example of docs/format.md is a real image's bytes. DAXFS_UPDATE_GOLDEN=1 writes it
// anew.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "common/convert/testing/layers.hpp"
#include "core.h"

namespace daxfs {
namespace {

constexpr const char* kBegin = "<!-- example -->\n```\n";
constexpr const char* kEnd = "```\n<!-- end of example -->";

// Lines of 16 bytes as xxd prints them; a run of equal zero lines is one "*".
std::string HexDump(const std::string& bytes, std::size_t offset, std::size_t length) {
  std::string text;
  bool zeros = false;
  for (std::size_t at = offset; at < offset + length; at += 16) {
    const std::string line = bytes.substr(at, 16);
    const bool zero = line.find_first_not_of('\0') == std::string::npos;
    if (zero && zeros) continue;
    text += zero ? "*\n" : fmt::format("{:08x}:", at);
    zeros = zero;
    if (zero) continue;
    std::string readable;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const auto byte = static_cast<unsigned char>(line[i]);
      text += fmt::format("{}{:02x}", i % 8 == 0 ? "  " : " ", byte);
      readable += byte >= 0x20 && byte < 0x7f ? line[i] : '.';
    }
    text += "  " + readable + "\n";
  }
  return text;
}

std::string Example() {
  convert::testing::BuiltImage image{convert::BuildOptions()};
  oci::testing::TarBuilder tar;
  tar.File("hello", "hello, world\n");
  EXPECT_TRUE(convert::testing::ApplyTar(image, tar.Finish()).ok());
  EXPECT_TRUE(image.Finish(convert::testing::SourceOf(tar.Finish())).ok());
  const auto raw = image.raw();
  const std::string bytes(reinterpret_cast<const char*>(raw.data()), raw.size());
  daxfs_image opened;
  const char* why = "";
  EXPECT_EQ(daxfs_image_open(&opened, bytes.data(), bytes.size(), &why), 0) << why;
  static const char* const kNames[] = {"inodes", "dirents", "extents", "names",
                                       "xattrs", "blobs",   "digests", "signature"};
  std::string text = fmt::format("superblock (image of {} bytes)\n", bytes.size());
  text += HexDump(bytes, 0, DAXFS_BLOCK_SIZE);
  text += "data\n" + HexDump(bytes, opened.info.data_offset, 32);
  for (int i = 0; i < DAXFS_SECTION_COUNT; ++i) {
    const daxfs_section_info& section = opened.info.section[i];
    if (section.size == 0) continue;
    text += fmt::format("{}: {} records\n", kNames[i], section.count);
    text += HexDump(bytes, section.offset, section.size);
  }
  return text;
}

TEST(Example, IsWhatTheFormatPageShows) {
  std::ifstream in(DAXFS_FORMAT_PAGE);
  std::string page{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const std::size_t begin = page.find(kBegin);
  const std::size_t end = page.find(kEnd);
  ASSERT_TRUE(begin != std::string::npos && end != std::string::npos);
  const std::size_t start = begin + std::string(kBegin).size();
  const std::string shown = page.substr(start, end - start);
  const std::string want = Example();
  if (std::getenv("DAXFS_UPDATE_GOLDEN") != nullptr) {
    page.replace(start, end - start, want);
    std::ofstream(DAXFS_FORMAT_PAGE) << page;
    return;
  }
  EXPECT_EQ(shown, want);
}

}  // namespace
}  // namespace daxfs
