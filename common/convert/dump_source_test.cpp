// SPDX-License-Identifier: Apache-2.0
#include "common/convert/dump_source.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/convert/directory_source.hpp"
#include "common/convert/dump_record.hpp"
#include "common/convert/testing/dump.hpp"
#include "common/convert/testing/layers.hpp"
#include "common/format/verify.hpp"
#include "common/oci/testing/tar_builder.hpp"
#include "common/os/testing/scratch.hpp"

namespace daxfs::convert {
namespace {

using oci::testing::TarBuilder;
using oci::testing::TarSpec;
using os::testing::Scratch;
using os::testing::WriteFile;
using testing::BuildFromDump;
using testing::BuiltImage;
using testing::DumpOf;
using ::testing::HasSubstr;
using testing::MapData;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

BuildOptions Archive() {
  BuildOptions options;
  options.profile = Profile::kArchive;
  options.layout.huge_min_bytes = 3 * kMiB;
  return options;
}

std::string Noise(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525U + 1013904223U) >> 24U);
  return text;
}

void SetTime(const std::string& path, std::int64_t seconds, long nanoseconds) {
  const struct timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

// Everything an ordinary user can make. Names sort unlike their paths.
void MakeTree(const std::string& root) {
  std::filesystem::create_directories(root + "/a/deep/er");
  std::filesystem::create_directories(root + "/a!");
  std::filesystem::create_directories(root + "/a.d/empty");
  WriteFile(root + "/a/file", "content\n");
  WriteFile(root + "/a/deep/er/zero", "");
  WriteFile(root + "/a!/ sp ace\\=\xff\n", "odd name");
  const std::string large = Noise(2 * kMiB + 5, 1);
  for (const char* name : {"/a/large", "/a.d/large-again", "/z-large"})
    WriteFile(root + name, large);
  WriteFile(root + "/huge", Noise(5 * kMiB, 2));
  WriteFile(root + "/a/huge-again", Noise(5 * kMiB, 2));
  std::string sparse(9 * kMiB, '\0');
  sparse.replace(6 * kMiB, 5, "island");
  WriteFile(root + "/sparse", sparse);
  WriteFile(root + "/all-hole", std::string(kMiB + 1, '\0'));
  ASSERT_EQ(::link((root + "/a/file").c_str(), (root + "/a.d/hard").c_str()), 0);
  ASSERT_EQ(::link((root + "/a/file").c_str(), (root + "/A-first").c_str()), 0);
  ASSERT_EQ(::symlink("../\xfe to nowhere", (root + "/link").c_str()), 0);
  ASSERT_EQ(::link((root + "/link").c_str(), (root + "/a/link-again").c_str()), 0);
  ASSERT_EQ(::mkfifo((root + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(::mknod((root + "/socket").c_str(), S_IFSOCK | 0755, 0), 0);
  ASSERT_EQ(::chmod((root + "/a/large").c_str(), 04711), 0);
  ASSERT_EQ(::chmod((root + "/a.d").c_str(), 01777), 0);
  SetTime(root + "/a/file", -2, 500000000);
  SetTime(root + "/link", -1, 1);
  SetTime(root + "/a.d", 1700000000, 999999999);
  SetTime(root, 5, 0);
}

std::unique_ptr<BuiltImage> FromDirectory(const std::string& root) {
  auto image = std::make_unique<BuiltImage>(Archive());
  testing::CountingMonitor monitor;
  const Status status = AddDirectory(image->builder(), root, monitor);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(image->Finish().ok());
  return image;
}

std::unique_ptr<BuiltImage> Rebuilt(const std::string& dump, DumpData& data) {
  Result<std::unique_ptr<BuiltImage>> image = BuildFromDump(dump, data);
  EXPECT_TRUE(image.ok()) << image.status().message();
  return *std::move(image);
}

TEST(DumpSourceTest, ADirectoryImageComesBackByteForByte) {
  const Scratch scratch;
  MakeTree(scratch.Path("t"));
  const auto first = FromDirectory(scratch.Path("t"));
  const std::string dump = DumpOf(first->Open());
  ImageData from_image(first->Open());
  DirectoryData from_directory(*os::Directory::Open(scratch.Path("t")));
  for (DumpData* data : std::initializer_list<DumpData*>{&from_image, &from_directory}) {
    const auto second = Rebuilt(dump, *data);
    EXPECT_TRUE(second->bytes() == first->bytes());
    EXPECT_EQ(DumpOf(second->Open()), dump);
  }
  for (const char* part :
       {"/a.d/hard hardlink target=/A-first\n", "/a/link-again symlink", "mtime=-1.500000000",
        "/link hardlink target=/a/link-again\n", " huge\n", "mtime=-0.999999999",
        "/a!/\\x20sp\\x20ace\\x5c=\\xff\\x0a file", "/socket socket mode=0755", "mode=4711",
        "\n/fifo fifo mode=0600", "target=../\\xfe\\x20to\\x20nowhere", "\nend\n"}) {
    EXPECT_THAT(dump, HasSubstr(part));
  }
}

TarSpec Device(char type, const std::string& name, std::uint32_t major, std::uint32_t minor) {
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

// What a stream can hold and a directory of ours cannot: any order, replaced data, whiteouts,
// parents nobody names, devices.
std::string Stream() {
  TarBuilder tar;
  const std::string large = Noise(2 * kMiB + 1, 3);
  tar.File("z/last", "first in the stream").File("z/large", large);
  tar.File("replaced", Noise(300000, 4)).File("a/large", large).File("replaced", "short");
  tar.File("huge", Noise(4 * kMiB, 5))
      .Symlink("link", "z/last")
      .HardLink("b/hard-link-of-link", "link");
  tar.HardLink("a/hard", "z/last").File("gone/.wh.file", "").File("gone/.wh..wh..opq", "");
  tar.Add(Device('3', "dev/null", 1, 3))
      .Add(Device('4', "dev/sda", 4095, 1048575))
      .Add(Device('6', "fifo", 0, 0));
  tar.Pax({{"SCHILY.xattr.user.binary", std::string("\0\n\\=\xff", 5)},
           {"SCHILY.xattr.user.empty", ""}});
  tar.File("xattrs", "x")
      .Pax({{"mtime", "1700000000.123456789"}, {"uid", "4000000000"}})
      .File("times", "t");
  tar.File("sparse", std::string(3 * kMiB, '\0') + "end");
  return tar.Finish();
}

TEST(DumpSourceTest, AStreamImageIsAFixedPointAfterOneRound) {
  BuildOptions options;
  options.layout.huge_min_bytes = 3 * kMiB;
  options.flattened = true;
  BuiltImage first(options);
  const Status applied = testing::ApplyTar(first, Stream());
  ASSERT_TRUE(applied.ok()) << applied.message();
  const format::SourceInfo source = testing::SourceOf(Stream());
  ASSERT_TRUE(first.Finish(source).ok());
  ImageData first_data(first.Open());
  const auto second = Rebuilt(DumpOf(first.Open()), first_data);
  ImageData second_data(second->Open());
  const std::string dump = DumpOf(second->Open());
  const auto third = Rebuilt(dump, second_data);
  EXPECT_EQ(testing::Listing(second->Open()), testing::Listing(first.Open()));
  EXPECT_TRUE(second->bytes() != first.bytes());  // or the stream's order was no test at all
  EXPECT_TRUE(third->bytes() == second->bytes());
  EXPECT_EQ(third->Open().Info().source, source);
  EXPECT_TRUE(format::Verify(third->Open(), format::VerifyLevel::kFull).ok());
  for (const char* part :
       {"option profile layer\n", "option flattened yes\n", "option source sha256:", "implicit\n",
        "/gone/file character mode=0000 uid=0", " device=0:0\n", "device=4095:1048575",
        "  xattr user.binary=\\x00\\x0a\\x5c=\\xff\n", "  xattr user.empty=\n", "uid=4000000000"}) {
    EXPECT_THAT(dump, HasSubstr(part));
  }
}

TEST(DumpSourceTest, ExtendedAttributesWithOddNames) {
  BuiltImage first(Archive());
  Node node;
  node.attributes.mode = kTypeDirectory | 0700;
  node.xattrs = *first.builder().xattrs().Intern(
      {{"user.a=b \xff", "1"}, {"user.x", std::string(65536, '\xaa')}});
  ASSERT_TRUE(first.builder().tree().Add(Tree::kRoot, "d", std::move(node)).ok());
  ASSERT_TRUE(first.Finish().ok());
  const std::string dump = DumpOf(first.Open());
  EXPECT_THAT(dump, HasSubstr("  xattr user.a\\x3db\\x20\\xff=1\n"));
  MapData nothing({});
  EXPECT_TRUE(Rebuilt(dump, nothing)->bytes() == first.bytes());
}

const char* const kOptions =
    "daxfs-dump 1\noption profile archive\noption huge_min_bytes 8388608\noption data_align_bytes "
    "4096\n"
    "option flattened no\noption user_xattr no\noption source none\n";
const char* const kRoot = "/ directory mode=0755 uid=0 gid=0 mtime=0.000000000\n";
const char* const kHelloDigest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

std::string Hello(const std::string& path) {
  return path + " file mode=0644 uid=0 gid=0 mtime=0.000000000 size=5 sha256=" + kHelloDigest +
         "\n";
}

std::string Directory(const std::string& path) {
  return path + " directory mode=0755 uid=0 gid=0 mtime=0.000000000\n";
}

MapData HelloData() {
  return MapData({{"/a", "hello"}, {"/d/f", "hello"}, {"/long", "hello!"}, {"/other", "olleh"}});
}

TEST(DumpSourceTest, TheSmallestDumps) {
  MapData data = HelloData();
  for (const std::string& text :
       {std::string(kRoot), kRoot + Hello("/a"), kRoot + Directory("/d") + Hello("/d/f"),
        "image inodes 7\n" + std::string(kRoot),
        "image root x\nimage waste_bytes 0\n" + std::string(kRoot)}) {
    const auto image = BuildFromDump(kOptions + text + "end\n", data);
    ASSERT_TRUE(image.ok()) << text << image.status().message();
    EXPECT_TRUE(format::Verify((*image)->Open(), format::VerifyLevel::kFull).ok());
  }
}

struct BadCase {
  std::string text;
  const char* message;
};

void ExpectRefused(const std::vector<BadCase>& table) {
  for (const BadCase& bad : table) {
    MapData data = HelloData();
    const auto image = BuildFromDump(bad.text, data);
    ASSERT_FALSE(image.ok()) << bad.text;
    EXPECT_THAT(image.status().message(), HasSubstr("line ")) << bad.text;
    EXPECT_THAT(image.status().message(), HasSubstr(bad.message)) << bad.text;
  }
}

TEST(DumpSourceTest, BadHeaders) {
  std::string align = kOptions;
  align.replace(align.find("4096"), 4, "4097");
  std::string yes = kOptions;
  yes.replace(yes.find("user_xattr no"), 13, "user_xattr yes");
  const auto made_of = [](const std::string& source) {
    std::string text = kOptions;
    return text.replace(text.find("none"), 4, source) + kRoot + "end\n";
  };
  const std::string zeros = "sha256:" + std::string(64, '0');
  const std::string ones = "sha256:" + std::string(64, '1');
  std::string profile = kOptions;
  profile.replace(profile.find("archive"), 7, "zip");
  ExpectRefused(
      {{"", "line 1: no dump"},
       {"\x89"
        "DAXFS\r\n",
        "line 1: no dump"},
       {"daxfs-dump 2\n", "another version of the dump: daxfs-dump\\x202"},
       {"daxfs-dump 1", "ends inside of this line"},
       {"daxfs-dump 1\n", "line 2: wanted \"option profile ...\""},
       {"daxfs-dump 1\noption huge_min_bytes 1\n", "wanted \"option profile ...\""},
       {align + kRoot + "end\n", "a power of two"},
       {yes + kRoot + "end\n", "not supported yet"},
       {profile + kRoot + "end\n", "use layer or archive"},
       {"daxfs-dump 1\noption profile archive\noption huge_min_bytes 1\noption data_align_bytes "
        "4096\n"
        "option flattened no\noption user_xattr no\nimage root x\n",
        "line 7: wanted \"option source ...\""},
       {made_of(""), "line 7: option source: \"\" is no source"},
       {made_of(ones), "is no source"},
       {made_of(ones + " "), "option source: \"\" is no number"},
       {made_of(ones + " 1 "), "is no number"},
       {made_of(ones.substr(7) + " 1"), "is no source"},
       {made_of(ones.substr(0, 70) + " 1"), "is no source"},
       {made_of(zeros + " 1"), "is no source"},
       {made_of("none 1"), "is no source"},
       {made_of(ones + " 9223372036854775808"), "is more than 9223372036854775807"},
       {kOptions, "line 8: the dump ends here"},
       {kOptions + std::string("image color red\n"), "line 8: \"image color\": no such figure"},
       {kOptions + std::string("image inodes 1\nimage root x\n"), "line 9: \"image root\""},
       {std::string(2 * kMiB, 'x') + "\n", "more than 1 MiB"}});
}

TEST(DumpSourceTest, BadTrees) {
  const std::string start = kOptions;
  const std::string root = start + kRoot;
  const std::string file = root + Hello("/a");
  ExpectRefused({
      {start + "end\n", "a dump without a root"},
      {start + Hello("/a") + "end\n", "line 8: the root comes first"},
      {start + "  xattr a=b\n", "the root comes first"},
      {start + Hello("/") + "end\n", "the root is a directory"},
      {root, "ends without \"end\""},
      {root + "end\nend\n", "line 10: text behind \"end\""},
      {root + kRoot + "end\n", "line 9: /: paths are in ascending order"},
      {file + Hello("/a") + "end\n", "line 10: /a: paths are in ascending order, each once"},
      {root + Directory("/long") + Hello("/a") + "end\n",
       "line 10: /a: paths are in ascending order"},
      {root + Hello("/d/f") + "end\n",
       "line 9: /d/f: no line before it makes its parent a directory"},
      {file + Hello("/a/b") + "end\n", "/a/b: no line before it makes its parent a directory"},
      {root + Hello("/d/f") + Directory("/d") + "end\n", "line 9: /d/f: no line before"},
      {root + Directory("/..") + "end\n", "\"..\" is no name"},
      {root + Directory("/d/../e") + "end\n", "\"..\" is no name"},
      {root + Directory("/.") + "end\n", "\".\" is no name"},
      {root + Directory("/d/") + "end\n", "\"\" is no name"},
      {root + Directory("//d") + "end\n", "\"\" is no name"},
      {root + Directory("d") + "end\n", "is no path"},
      {root + Directory("/a\\x2fb") + "end\n", "is no escaped text"},
      {root + Directory("/a\\x00b") + "end\n", "is no name"},
      {root + Directory("/" + std::string(256, 'n')) + "end\n", "is no name"},
      {root + Directory(std::string(70000, '/')) + "end\n", "a path of more than 65536 bytes"},
      {root + "/h hardlink target=/none\nend\n", "its target /none anything but a directory"},
      {root + "/h hardlink target=/\nend\n", "anything but a directory"},
      {root + "/h hardlink target=/h\nend\n", "anything but a directory"},
      {file + "/h hardlink target=/a/b\nend\n", "anything but a directory"},
      {file + "/h hardlink target=/a more\nend\n", "unknown words"},
      {file + "/h hardlink target=/a\n  xattr user.a=b\nend\n",
       "a hard link has nothing of its own"},
      {root + "\nend\n", "is no path"},
      {root + " \nend\n", "no xattr"},
      {root + "\tx\nend\n", "is no path"},
  });
}

TEST(DumpSourceTest, BadInodes) {
  const std::string root = std::string(kOptions) + kRoot;
  const std::string head = "/x directory mode=0755 uid=0 gid=0 mtime=0.000000000";
  const std::string nod = " mode=0644 uid=0 gid=0 mtime=0.000000000";
  const std::string digest = std::string("sha256=") + kHelloDigest;
  const auto with = [&](const std::string& line) { return root + line + "\nend\n"; };
  ExpectRefused({
      {with("/x"), "\"\" is no type"},
      {with("/x door mode=0755"), "\"door\" is no type"},
      {with("/x  directory mode=0755"), "\"\" is no type"},
      {with("/x directory"), "wanted mode="},
      {with("/x directory uid=0 mode=0755 gid=0 mtime=0.000000000"),
       "wanted mode=, found \"uid=0\""},
      {with("/x directory mode=755 uid=0 gid=0 mtime=0.000000000"), "four octal digits"},
      {with("/x directory mode=0855 uid=0 gid=0 mtime=0.000000000"), "four octal digits"},
      {with("/x directory mode=40755 uid=0 gid=0 mtime=0.000000000"), "four octal digits"},
      {with("/x directory mode=0755 uid=4294967296 gid=0 mtime=0.000000000"),
       "uid: 4294967296 is more than"},
      {with("/x directory mode=0755 uid=-1 gid=0 mtime=0.000000000"), "uid: \"-1\" is no number"},
      {with("/x directory mode=0755 uid=0 gid=0 mtime=0"), "is no time"},
      {with(head + " size=0"), "unknown words at the end of the line: \"size=0\""},
      {with(head + " implicit huge"), "unknown words"},
      {with(head + " "), "unknown words"},
      {with("/x file" + nod), "wanted size="},
      {with("/x file" + nod + " size=9223372036854775808 " + digest),
       "is more than 9223372036854775807"},
      {with("/x file" + nod + " size=5 sha256=00"), "sha256"},
      {with("/x file" + nod + " size=5 " + digest + " implicit"), "unknown words"},
      {with("/x symlink" + nod), "wanted target="},
      {with("/x symlink" + nod + " target="), "symbolic link with a target of 0 bytes"},
      {with("/x symlink" + nod + " target=\\x00"), "without NUL"},
      {with("/x symlink" + nod + " target=" + std::string(4096, 'x')), "1 to 4095"},
      {with("/x character" + nod), "wanted device="},
      {with("/x character" + nod + " device=1"), "\"\" is no number"},
      {with("/x block" + nod + " device=4096:0"), "device number 4096:0 is more than"},
      {with("/x fifo" + nod + " device=0:0"), "unknown words"},
  });
}

TEST(DumpSourceTest, BadDetailsAndData) {
  const std::string file = std::string(kOptions) + kRoot + Hello("/a");
  std::string long_digest = Hello("/long");
  long_digest.replace(long_digest.find("size=5"), 6, "size=6");
  const std::string root = std::string(kOptions) + kRoot;
  ExpectRefused({
      {file + "  xattr user.a\nend\n", "without a value"},
      {file + "  xattr =x\nend\n", "1 to 255 are possible"},
      {file + "  xattr user.a\\x00=x\nend\n", "NUL in its name"},
      {file + "  xattr user.a=" + std::string(65537, 'x') + "\nend\n", "65536 are possible"},
      {file + "  xattr user.b=1\n  xattr user.a=1\nend\n",
       "line 11: xattrs are in ascending order"},
      {file + "  xattr user.a=1\n  xattr user.a=1\nend\n",
       "line 11: xattrs are in ascending order"},
      {file + "  color user.a=1\nend\n", "no xattr"},
      {file + "  extent logical=0 offset=4096 length=4096\n  xattr user.a=1\nend\n",
       "xattrs come before extents"},
      {file + "  extent logical=0 offset=4096\nend\n", "wanted length="},
      {file + "  extent logical=0 offset=4096 length=4096 blob=1\nend\n", "unknown words"},
      {root + "  extent logical=0 offset=4096 length=4096\nend\n", "extents belong to files"},
      {root + Hello("/missing") + "end\n", "line 9: /missing: /missing: not in the data"},
      {root + Hello("/long") + "end\n", "line 9: /long: the data has 6 bytes, the dump 5"},
      {root + long_digest + "end\n",
       "line 9: /long: the data has sha256 ce06092fb948d9ffac7d1a376e"},
      {root + Hello("/other") + "end\n", "the data has sha256 "},
  });
}

// Whatever the dump names: nothing outside of the directory is read, and no link is followed.
TEST(DumpSourceTest, ADirectoryOfDataIsNotLeft) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch.Path("data/sub"));
  WriteFile(scratch.Path("secret"), "hello");
  WriteFile(scratch.Path("data/sub/f"), "hello");
  for (const auto& [target, name] : std::vector<std::pair<const char*, const char*>>{
           {"../secret", "up"}, {"sub/f", "inside"}, {"sub", "dir"}, {"..", "above"}}) {
    ASSERT_EQ(::symlink(target, (scratch.Path("data/") + name).c_str()), 0);
  }
  ASSERT_EQ(::mkfifo(scratch.Path("data/fifo").c_str(), 0600), 0);
  DirectoryData data(*os::Directory::Open(scratch.Path("data")));
  EXPECT_EQ(*data.Open("/sub/f"), 5U);
  for (const char* path :
       {"/up", "/inside", "/dir/f", "/above/secret", "/fifo", "/sub", "/none", "/sub/f/x"}) {
    EXPECT_FALSE(data.Open(path).ok()) << path;
  }
  EXPECT_EQ(*data.Open("/sub/f"), 5U);  // and a failure spoils nothing
}

}  // namespace
}  // namespace daxfs::convert
