// SPDX-License-Identifier: Apache-2.0
#include "common/oci/tar_reader.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/oci/testing/tar_builder.hpp"
#include "common/oci/testing/text_source.hpp"

namespace daxfs::oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TarBuilder;
using testing::TarSpec;
using testing::TextChunks;

struct Seen {
  TarEntry entry;
  std::string data;
};

Result<std::vector<Seen>> ReadTar(const std::string& bytes, std::size_t step) {
  TextChunks source(bytes, step);
  ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> reader, TarReader::Open(source));
  std::vector<Seen> all;
  for (;;) {
    Seen seen;
    ASSIGN_OR_RETURN(const bool more, reader->Next(&seen.entry));
    if (!more) return all;
    // Some entries are left unread, as a consumer may.
    while (seen.entry.size_bytes > 0 && seen.entry.name != "skip") {
      ASSIGN_OR_RETURN(const auto data, reader->ReadData());
      if (data.empty()) break;
      seen.data.append(data.zeros, '\0');
      seen.data.append(reinterpret_cast<const char*>(data.bytes.data()), data.bytes.size());
    }
    all.push_back(std::move(seen));
  }
}

// The same entries whatever the size of the chunks they come in.
std::vector<Seen> Read(const std::string& bytes) {
  const Result<std::vector<Seen>> whole = ReadTar(bytes, bytes.size() + 1);
  EXPECT_TRUE(whole.ok()) << whole.status().message();
  if (!whole.ok()) return {};
  const std::vector<Seen>& first = *whole;
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{100}, std::size_t{512}, std::size_t{777}}) {
    const Result<std::vector<Seen>> again = ReadTar(bytes, step);
    EXPECT_TRUE(again.ok()) << step << again.status().message();
    if (!again.ok()) continue;
    EXPECT_EQ(again->size(), first.size());
    for (std::size_t i = 0; i < first.size() && i < again->size(); ++i) {
      EXPECT_EQ((*again)[i].entry.name, first[i].entry.name);
      EXPECT_EQ((*again)[i].entry.xattrs, first[i].entry.xattrs);
      EXPECT_EQ((*again)[i].data, first[i].data);
    }
  }
  return first;
}

Status ErrorOf(const std::string& bytes) { return ReadTar(bytes, 4096).status(); }

TEST(TarReaderTest, EveryType) {
  TarSpec device;
  device.type = '3';
  device.name = "dev/null";
  device.major = 1;
  device.minor = 3;
  TarSpec block = device;
  block.type = '4';
  TarSpec fifo;
  fifo.type = '6';
  fifo.name = "fifo";
  const std::vector<Seen> all = Read(TarBuilder()
                                         .File("file", "content")
                                         .HardLink("hard", "file")
                                         .Symlink("sym", "../x")
                                         .Add(device)
                                         .Add(block)
                                         .Directory("dir/", 01777)
                                         .Add(fifo)
                                         .Finish());
  ASSERT_EQ(all.size(), 7U);
  EXPECT_EQ(all[0].entry.type, TarType::kFile);
  EXPECT_EQ(all[0].data, "content");
  EXPECT_EQ(all[1].entry.type, TarType::kHardLink);
  EXPECT_EQ(all[1].entry.link_name, "file");
  EXPECT_EQ(all[2].entry.type, TarType::kSymlink);
  EXPECT_EQ(all[2].entry.link_name, "../x");
  EXPECT_EQ(all[3].entry.type, TarType::kCharacter);
  EXPECT_EQ(all[3].entry.device_major, 1U);
  EXPECT_EQ(all[3].entry.device_minor, 3U);
  EXPECT_EQ(all[4].entry.type, TarType::kBlock);
  EXPECT_EQ(all[5].entry.type, TarType::kDirectory);
  EXPECT_EQ(all[5].entry.name, "dir/");
  EXPECT_EQ(all[5].entry.permissions, 01777U);
  EXPECT_EQ(all[6].entry.type, TarType::kFifo);
}

TEST(TarReaderTest, OldTars) {
  TarSpec spec;
  spec.type = '\0';
  spec.magic = "";
  spec.name = "v7";
  spec.data = "x";
  TarSpec directory = spec;
  directory.name = "dir/";
  directory.data = "";
  const std::vector<Seen> all = Read(TarBuilder().Add(spec).Add(directory).Finish());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].data, "x");
  EXPECT_EQ(all[1].entry.type, TarType::kDirectory);
}

TEST(TarReaderTest, NamesAreBytes) {
  const std::string wild = "caf\xe9\xff:,\\\n";
  const std::string surrogate = "\xed\xa0\xbd\xed\xb8\x80";  // CESU-8: nobody may "repair" it
  const std::string utf8 = "\xc3\xa9\xe2\x82\xac";
  const std::vector<Seen> all = Read(TarBuilder()
                                         .File(wild, "1")
                                         .Pax({{"path", wild + "pax"}})
                                         .File("x", "2")
                                         .Pax({{"path", surrogate}, {"linkpath", wild}})
                                         .Symlink("x", "y")
                                         .Pax({{"path", utf8}})
                                         .File("x", "3")
                                         .File(utf8, "4")
                                         .Finish());
  ASSERT_EQ(all.size(), 5U);
  EXPECT_EQ(all[0].entry.name, wild);
  EXPECT_EQ(all[1].entry.name, wild + "pax");
  EXPECT_EQ(all[2].entry.name, surrogate);
  EXPECT_EQ(all[2].entry.link_name, wild);
  EXPECT_EQ(all[3].entry.name, utf8);
  EXPECT_EQ(all[4].entry.name, utf8);
}

TEST(TarReaderTest, LongNames) {
  const std::string longer(300, 'n');
  const std::string link(5000, 'l');
  const std::vector<Seen> all = Read(TarBuilder()
                                         .GnuLong('L', longer)
                                         .GnuLong('K', link)
                                         .Symlink("short", "short")
                                         .GnuLong('K', link)
                                         .GnuLong('L', longer)
                                         .HardLink("short", "short")
                                         .Pax({{"path", "pax" + longer}})
                                         .File("short", "d")
                                         .Pax({{"path", "pax"}})
                                         .GnuLong('L', "gnu wins")
                                         .File("short", "d")
                                         .File("plain", "d")
                                         .Finish());
  ASSERT_EQ(all.size(), 5U);
  EXPECT_EQ(all[0].entry.name, longer);
  EXPECT_EQ(all[0].entry.link_name, link);
  EXPECT_EQ(all[1].entry.name, longer);
  EXPECT_EQ(all[1].entry.link_name, link);
  EXPECT_EQ(all[2].entry.name, "pax" + longer);
  EXPECT_EQ(all[3].entry.name, "gnu wins");
  EXPECT_EQ(all[4].entry.name, "plain");
}

TEST(TarReaderTest, UstarPrefixes) {
  TarSpec spec;
  spec.name = std::string(100, 'n');
  spec.raw = {{345, std::string(155, 'p')}};
  TarSpec old = spec;
  old.magic = "";  // no prefix before ustar: those bytes mean nothing
  const std::vector<Seen> all = Read(TarBuilder().Add(spec).Add(old).Finish());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].entry.name, std::string(155, 'p') + "/" + std::string(100, 'n'));
  EXPECT_EQ(all[1].entry.name, std::string(100, 'n'));
}

TEST(TarReaderTest, ExtensionHeadersHaveALimit) {
  for (const char type : {'x', 'L', 'K', 'g'}) {
    TarSpec spec;
    spec.type = type;
    spec.name = "extension";
    spec.data = std::string(std::size_t{5} << 20U, 'x');
    EXPECT_FALSE(ErrorOf(TarBuilder().Add(spec).File("f", "x").Finish()).ok()) << type;
  }
}

TEST(TarReaderTest, PaxNumbersAndTimes) {
  const std::vector<Seen> all =
      Read(TarBuilder()
               .Pax({{"uid", "4000000000"}, {"gid", "3000000"}, {"mtime", "1700000000.123456789"}})
               .File("a", "x")
               .Pax({{"mtime", "-1.5"}})
               .File("b", "x")
               .Pax({{"size", "7"}})
               .File("c", "1234567")
               .Finish());
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].entry.uid, 4000000000U);
  EXPECT_EQ(all[0].entry.gid, 3000000U);
  EXPECT_EQ(all[0].entry.mtime_seconds, 1700000000);
  EXPECT_EQ(all[0].entry.mtime_nanoseconds, 123456789U);
  EXPECT_EQ(all[1].entry.mtime_seconds, -2);
  EXPECT_EQ(all[1].entry.mtime_nanoseconds, 500000000U);
  EXPECT_EQ(all[2].data, "1234567");
}

TEST(TarReaderTest, Base256Numbers) {
  TarSpec spec;
  spec.name = "f";
  spec.uid = 4000000000U;
  spec.gid = 2097152;
  spec.mtime = -86400;
  const std::vector<Seen> all = Read(TarBuilder().Add(spec).Finish());
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].entry.uid, 4000000000U);
  EXPECT_EQ(all[0].entry.gid, 2097152U);
  EXPECT_EQ(all[0].entry.mtime_seconds, -86400);
}

TEST(TarReaderTest, OnlySchilyXattrsAsBytes) {
  const std::string value("\0=\n\xff", 4);
  const std::vector<Seen> all = Read(TarBuilder()
                                         .Pax({{"SCHILY.xattr.security.capability", value},
                                               {"SCHILY.xattr.user.empty", ""},
                                               {"LIBARCHIVE.xattr.user.other", "AAAA"},
                                               {"SCHILY.acl.access", "user::rwx"}})
                                         .File("f", "x")
                                         .File("g", "x")
                                         .Finish());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_THAT(all[0].entry.xattrs,
              ElementsAre(std::pair<std::string, std::string>("security.capability", value),
                          std::pair<std::string, std::string>("user.empty", "")));
  EXPECT_THAT(all[1].entry.xattrs, IsEmpty());
}

TEST(TarReaderTest, GlobalHeadersAreIgnored) {
  const std::vector<Seen> all =
      Read(TarBuilder()
               .Pax({{"path", "wrong"}, {"uid", "7"}, {"SCHILY.xattr.user.g", "x"}}, 'g')
               .File("right", "x")
               .Finish());
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].entry.name, "right");
  EXPECT_EQ(all[0].entry.uid, 0U);
  EXPECT_THAT(all[0].entry.xattrs, IsEmpty());
}

TEST(TarReaderTest, EndsOfArchives) {
  const std::string body = TarBuilder().File("a", "x").bytes();
  for (const std::string& end :
       {std::string(), std::string(512, '\0'), std::string(1024, '\0'), std::string(10240, '\0'),
        std::string(1024, '\0') + "trailing garbage"}) {
    EXPECT_EQ(Read(body + end).size(), 1U) << end.size();
  }
  EXPECT_EQ(Read("").size(), 0U);
  EXPECT_EQ(Read(std::string(1024, '\0')).size(), 0U);
}

// Go's reader wants two blocks of zeros, or the end of the stream behind the first.
TEST(TarReaderTest, ALoneBlockOfZerosIsDamage) {
  const std::string body = TarBuilder().File("a", "x").bytes();
  const std::string zeros(512, '\0');
  for (const std::string& rest : {body, std::string("x"), std::string(512, 'x')}) {
    for (const std::string& start : {std::string(), body}) {
      for (const std::size_t step : {std::size_t{1}, std::size_t{512}, std::size_t{100000}}) {
        const Status status = ReadTar(start + zeros + rest, step).status();
        EXPECT_EQ(status.code(), StatusCode::kDataLoss) << rest.size() << " " << step;
      }
    }
  }
}

TEST(TarReaderTest, UnreadDataIsSkipped) {
  const std::vector<Seen> all =
      Read(TarBuilder().File("skip", std::string(100000, 's')).File("next", "n").Finish());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].data, "n");
}

TEST(TarReaderTest, RefusesUnknownTypes) {
  for (const char type : {'D', 'M', 'N', 'A', 'X', 'Z', '9'}) {
    TarSpec spec;
    spec.type = type;
    spec.name = "odd";
    EXPECT_FALSE(ErrorOf(TarBuilder().Add(spec).File("next", "x").Finish()).ok()) << type;
  }
}

TEST(TarReaderTest, TypesOfGnuTarAreMarked) {
  TarSpec contiguous;
  contiguous.type = '7';
  contiguous.name = "contiguous";
  contiguous.data = "data";
  TarSpec label;
  label.type = 'V';
  label.name = "label";
  const std::vector<Seen> all =
      Read(TarBuilder().Add(label).File("a", "x").Add(contiguous).Finish());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].entry.name, "a");
  EXPECT_EQ(all[0].entry.foreign_type, 'V');
  EXPECT_EQ(all[1].entry.type, TarType::kFile);
  EXPECT_EQ(all[1].entry.foreign_type, '7');
  EXPECT_EQ(all[1].data, "data");
}

// Type 'S': the map of the first four parts in the header, more in blocks behind it (GNU tar
// manual, "Old GNU Format").
TEST(TarReaderTest, OldGnuSparseFiles) {
  const auto number = [](std::uint64_t value) { return fmt::format("{:011o}", value) + '\0'; };
  std::string data;
  std::string content(1000000, '\0');
  std::string map;
  for (std::size_t i = 0; i < 6; ++i) {
    const std::string part(512, static_cast<char>('a' + i));
    data += part;
    content.replace(i * 100000, 512, part);
    map += number(i * 100000) + number(512);
  }
  TarSpec spec;
  spec.type = 'S';
  spec.name = "sparse";
  spec.data = data;
  spec.magic = std::string("ustar  \0", 8);
  spec.raw = {{386, map.substr(0, 96)}, {482, "\x01"}, {483, number(content.size())}};
  spec.extension = map.substr(96) + std::string(512 - (map.size() - 96), '\0');
  const std::vector<Seen> all = Read(TarBuilder().Add(spec).File("next", "n").Finish());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].entry.foreign_type, 'S');
  EXPECT_EQ(all[0].entry.size_bytes, content.size());
  EXPECT_TRUE(all[0].data == content);
  EXPECT_EQ(all[1].data, "n");
}

TEST(TarReaderTest, OtherSpellingsOfXattrsAreKeptApart) {
  const std::vector<Seen> all =
      Read(TarBuilder()
               .Pax({{"LIBARCHIVE.xattr.user.x", "AAAA"},
                     {"RHT.security.selinux", "s"},
                     {"SCHILY.acl.access", "user::rwx,group::---,other::---"},
                     {"SCHILY.fflags", "nodump"}})
               .File("f", "x")
               .File("g", "x")
               .Finish());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].entry.extras.size(), 3U);
  EXPECT_EQ(all[0].entry.permissions, 0644U);  // the ACL does not touch the header's
  EXPECT_THAT(all[0].entry.xattrs, IsEmpty());
  EXPECT_THAT(all[1].entry.extras, IsEmpty());
}

TEST(TarReaderTest, GlobalAttributesAreToldOfWhatFollows) {
  const std::vector<Seen> all = Read(TarBuilder()
                                         .Pax({{"comment", "0123456789abcdef"}}, 'g')
                                         .File("a", "x")
                                         .Pax({{"mtime", "1"}}, 'g')
                                         .File("b", "x")
                                         .File("c", "x")
                                         .Finish());
  ASSERT_EQ(all.size(), 3U);
  EXPECT_FALSE(all[0].entry.global);
  EXPECT_TRUE(all[1].entry.global);
  EXPECT_TRUE(all[2].entry.global);
}

TEST(TarReaderTest, PlacesOfData) {
  const std::string tar =
      TarBuilder().GnuLong('L', std::string(300, 'n')).File("x", "one").File("b", "two").Finish();
  TextChunks source(tar, 700);
  const std::unique_ptr<TarReader> reader = *TarReader::Open(source);
  TarEntry entry;
  for (const std::string data : {"one", "two"}) {
    ASSERT_TRUE(*reader->Next(&entry));
    EXPECT_EQ(tar.substr(reader->data_offset(), entry.size_bytes), data);
  }
}

// The three PAX spellings of a sparse file (GNU tar manual, "PAX Format, Version 0.0" to 1.0).
TEST(TarReaderTest, SparseFilesHaveTheirHoles) {
  const std::string map = "2\n1000\n5\n200000\n5\n";
  const std::string stored = "firstagain";
  const std::string body = map + std::string(512 - map.size(), '\0') + stored;
  const std::vector<Seen> all = Read(TarBuilder()
                                         .Pax({{"GNU.sparse.major", "1"},
                                               {"GNU.sparse.minor", "0"},
                                               {"GNU.sparse.name", "real name"},
                                               {"GNU.sparse.realsize", "300000"}})
                                         .File("GNUSparseFile.0/s", body)
                                         .Pax({{"GNU.sparse.name", "v0.1"},
                                               {"GNU.sparse.size", "300000"},
                                               {"GNU.sparse.numblocks", "2"},
                                               {"GNU.sparse.map", "1000,5,200000,5"}})
                                         .File("GNUSparseFile.0/s", stored)
                                         .Pax({{"GNU.sparse.size", "300000"},
                                               {"GNU.sparse.numblocks", "2"},
                                               {"GNU.sparse.offset", "1000"},
                                               {"GNU.sparse.numbytes", "5"},
                                               {"GNU.sparse.offset", "200000"},
                                               {"GNU.sparse.numbytes", "5"}})
                                         .File("v0.0", stored)
                                         .File("next", "n")
                                         .Finish());
  std::string content(300000, '\0');
  content.replace(1000, 5, "first");
  content.replace(200000, 5, "again");
  ASSERT_EQ(all.size(), 4U);
  const char* names[] = {"real name", "v0.1", "v0.0"};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(all[i].entry.name, names[i]);
    EXPECT_EQ(all[i].entry.size_bytes, 300000U) << i;
    EXPECT_TRUE(all[i].data == content) << names[i];
  }
  EXPECT_EQ(all[3].data, "n");
}

Result<std::vector<Seen>> SparseFile(const std::string& map, const std::string& size,
                                     const std::string& stored) {
  return ReadTar(TarBuilder()
                     .Pax({{"GNU.sparse.major", "1"},
                           {"GNU.sparse.minor", "0"},
                           {"GNU.sparse.name", "s"},
                           {"GNU.sparse.realsize", size}})
                     .File("GNUSparseFile.0/s", map + std::string(512 - map.size(), '\0') + stored)
                     .File("next", "n")
                     .Finish(),
                 700);
}

TEST(TarReaderTest, SparseFilesOfNothing) {
  const std::pair<std::string, std::string> table[] = {
      {"0\n", ""}, {"1\n1000\n0\n", ""}, {"1\n0\n5\n", "first"}, {"2\n0\n5\n1000\n0\n", "first"}};
  for (const auto& [map, stored] : table) {
    const Result<std::vector<Seen>> all = SparseFile(map, "1000", stored);
    ASSERT_TRUE(all.ok()) << map << all.status().message();
    std::string content(1000, '\0');
    content.replace(0, stored.size(), stored);
    EXPECT_TRUE((*all)[0].data == content) << map;
    EXPECT_EQ((*all)[1].data, "n") << map;
  }
}

TEST(TarReaderTest, DamagedSparseMapsAreRefused) {
  const std::string wrong[] = {"x\n", "2\n0\n5\n", "2\n5\n5\n0\n5\n", "2\n0\n5\n3\n5\n",
                               "1\n-1\n5\n"};
  for (const std::string& map : wrong) {
    EXPECT_FALSE(SparseFile(map, "1000", "firstagain").ok()) << map;
  }
}

TEST(TarReaderTest, ASparseFilesDataIsWhatItsMapSays) {
  EXPECT_TRUE(SparseFile("1\n100\n5\n", "1000", "first").ok());
  for (const std::string stored : {"", "firs", "first and more"}) {
    EXPECT_FALSE(SparseFile("1\n100\n5\n", "1000", stored).ok()) << stored;
  }
  EXPECT_FALSE(SparseFile("1\n0\n1000\n", "1000", "first").ok());
  EXPECT_TRUE(SparseFile("1\n0\n1000\n", "1000", std::string(1000, 'A')).ok());
  EXPECT_FALSE(SparseFile("0\n", "1000", std::string(1000, 'A')).ok());
}

TEST(TarReaderTest, RefusesDamage) {
  const std::string good = TarBuilder().File("a", std::string(2000, 'x')).Finish();
  for (const std::size_t cut :
       {std::size_t{100}, std::size_t{511}, std::size_t{600}, std::size_t{2500}}) {
    EXPECT_FALSE(ErrorOf(good.substr(0, cut)).ok()) << cut;
  }
  std::string checksum = TarBuilder().File("a", "x").File("b", "x").Finish();
  checksum[1024] = 'c';
  EXPECT_FALSE(ErrorOf(checksum).ok());
  EXPECT_FALSE(ErrorOf("this is not a tar").ok());
  EXPECT_FALSE(ErrorOf(std::string(5000, 'x')).ok());
  EXPECT_EQ(ErrorOf(TarBuilder().Pax({{"path", "a"}}).bytes()).ok(), false);
}

TEST(TarReaderTest, RefusesDamagedPaxRecords) {
  for (const std::string& records :
       {std::string("9 path=ab"), std::string("99 path=a\n"), std::string("x path=a\n"),
        std::string("8 path a\n"), std::string("0 path=a\n"), std::string("5 =a\n"),
        std::string("11 path=a\0b\n", 12), std::string("4 a\n"),
        std::string("99999999999999999999 a=b\n"), std::string("8 a\0b=c\n", 8),
        std::string("27 SCHILY.xattr.user.a\0b=c\n", 27)}) {
    TarSpec spec;
    spec.type = 'x';
    spec.name = "pax";
    spec.data = records;
    EXPECT_FALSE(ErrorOf(TarBuilder().Add(spec).File("f", "x").Finish()).ok()) << records;
  }
}

TEST(TarReaderTest, RefusesDamagedPaxTimes) {
  for (const char* time : {"x", "1.x", ".5", "1-", "99999999999999999999", " 1"}) {
    EXPECT_FALSE(ErrorOf(TarBuilder().Pax({{"mtime", time}}).File("f", "x").Finish()).ok()) << time;
  }
}

TEST(TarReaderTest, RefusesNumbersOutOfRange) {
  for (const auto& record : std::vector<std::pair<std::string, std::string>>{
           {"uid", "4294967295"}, {"gid", "99999999999"}}) {
    const Status status = ErrorOf(TarBuilder().Pax({record}).File("f", "x").Finish());
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << record.second;
  }
}

// What Go, GNU tar and libarchive read differently: two readers must not see two trees.
TEST(TarReaderTest, HeadersReadDifferentlyAreRefused) {
  const std::string nul_first = std::string(
      "\0"
      "00000001000",
      12);
  std::vector<TarBuilder> cases;
  for (const std::size_t offset : {std::size_t{124}, std::size_t{136}}) {
    TarSpec spec;
    spec.name = "a";
    spec.raw = {{offset, nul_first}};
    cases.push_back(TarBuilder().Add(spec));
  }
  for (const std::size_t offset : {std::size_t{100}, std::size_t{108}, std::size_t{116}}) {
    for (const std::string& value :
         {nul_first.substr(0, 8), std::string("0000644x"), std::string("x")}) {
      TarSpec spec;
      spec.name = "a";
      spec.raw = {{offset, value}};
      cases.push_back(TarBuilder().Add(spec));
    }
  }
  for (const char type : {'1', '2', '3', '4', '5', '6'}) {
    TarSpec spec;
    spec.type = type;
    spec.name = "a";
    spec.link = "b";
    cases.push_back(TarBuilder().Pax({{"size", "512"}}).Add(spec));
  }
  cases.push_back(TarBuilder().Pax({{"path", "x"}}).Pax({{"comment", "c"}}, 'g').File("a", ""));
  cases.push_back(TarBuilder().GnuLong('L', "x").Pax({{"comment", "c"}}, 'g').File("a", ""));
  for (const char* key : {"GNU.sparse.realsize", "GNU.sparse.size", "GNU.sparse.name"}) {
    cases.push_back(TarBuilder().Pax({{key, "0"}}).File("a", "data"));
  }
  cases.push_back(
      TarBuilder().Pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.realsize", "9"}}).File("a", "0\n"));
  cases.push_back(
      TarBuilder().Pax({{"GNU.sparse.size", "9"}, {"GNU.sparse.numblocks", "0"}}).File("a", ""));
  TarSpec junk;
  junk.type = 'x';
  junk.name = "pax";
  junk.data = std::string("9 path=a\n\0\0junk", 15);
  cases.push_back(TarBuilder().Add(junk).File("a", ""));
  junk.type = 'g';
  cases.push_back(TarBuilder().Add(junk).File("a", ""));
  for (std::size_t i = 0; i < cases.size(); ++i) {
    EXPECT_FALSE(ErrorOf(cases[i].File("next", "x").Finish()).ok()) << i;
  }
}

TEST(TarReaderTest, EmptyLongNamesLeaveTheHeaders) {
  TarSpec link;
  link.type = '2';
  link.name = "l";
  link.link = "target";
  const std::vector<Seen> all =
      Read(TarBuilder().GnuLong('L', "").File("a", "x").GnuLong('K', "").Add(link).Finish());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].entry.name, "a");
  EXPECT_EQ(all[1].entry.link_name, "target");
}

// Go's writer once put prefixes into GNU headers, and its reader still finds them.
TEST(TarReaderTest, GnuHeadersWithAPrefix) {
  TarSpec spec;
  spec.name = "a";
  spec.magic = std::string("ustar  \0", 8);
  spec.raw = {{345, "prefix/dir"}};
  TarSpec times = spec;
  times.name = "b";
  times.raw = {{345, std::string("14000000000\0", 12)}, {357, std::string("14000000000\0", 12)}};
  const std::vector<Seen> all = Read(TarBuilder().Add(spec).Add(times).Finish());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].entry.name, "prefix/dir/a");
  EXPECT_EQ(all[1].entry.name, "b");
}

TEST(TarReaderTest, SourceErrorsPass) {
  const std::string good = TarBuilder().File("a", std::string(2000, 'x')).Finish();
  for (const std::size_t cut :
       {std::size_t{0}, std::size_t{300}, std::size_t{512}, std::size_t{1500}}) {
    TextChunks source(good.substr(0, cut), 100, NotFoundError("gone"));
    Status status;
    Result<std::unique_ptr<TarReader>> reader = TarReader::Open(source);
    status = reader.status();
    TarEntry entry;
    if (status.ok()) status = (*reader)->Next(&entry).status();
    if (status.ok()) status = (*reader)->Next(&entry).status();
    EXPECT_EQ(status.code(), StatusCode::kNotFound) << cut << status.message();
  }
}

}  // namespace
}  // namespace daxfs::oci
