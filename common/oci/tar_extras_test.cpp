// SPDX-License-Identifier: Apache-2.0
#include "common/oci/tar_extras.hpp"

#include <gtest/gtest.h>

namespace daxfs::oci {
namespace {

using Xattr = std::pair<std::string, std::string>;

TEST(TarExtrasTest, KnowsItsRecords) {
  for (const char* key : {"LIBARCHIVE.xattr.user.a", "RHT.security.selinux", "SCHILY.acl.access",
                          "SCHILY.acl.default"}) {
    EXPECT_TRUE(IsExtraRecord(key)) << key;
  }
  for (const char* key : {"SCHILY.xattr.user.a", "LIBARCHIVE.creationtime", "path", "SCHILY.acl"}) {
    EXPECT_FALSE(IsExtraRecord(key)) << key;
  }
}

TEST(TarExtrasTest, LibarchiveNamesAndValues) {
  const std::pair<Xattr, Xattr> table[] = {
      {{"LIBARCHIVE.xattr.user.plain", "dGV4dA=="}, {"user.plain", "text"}},
      {{"LIBARCHIVE.xattr.user.no-padding", "dGV4dA"}, {"user.no-padding", "text"}},
      {{"LIBARCHIVE.xattr.user.a%3db%25", "AAEC/w=="}, {"user.a=b%", std::string("\0\1\2\xff", 4)}},
      {{"LIBARCHIVE.xattr.user.empty", ""}, {"user.empty", ""}},
      {{"RHT.security.selinux", "system_u:object_r:etc_t:s0"},
       {"security.selinux", "system_u:object_r:etc_t:s0"}},
  };
  for (const auto& [record, want] : table) {
    const Result<Xattr> got = DecodeExtraRecord(record.first, record.second);
    ASSERT_TRUE(got.ok()) << record.first << got.status().message();
    EXPECT_EQ(*got, want);
  }
  for (const Xattr& record :
       {Xattr{"LIBARCHIVE.xattr.user.a%3", "AAAA"}, Xattr{"LIBARCHIVE.xattr.user.a%zz", "AAAA"},
        Xattr{"LIBARCHIVE.xattr.user.a", "A"}, Xattr{"LIBARCHIVE.xattr.user.a", "*&^%"}}) {
    EXPECT_EQ(DecodeExtraRecord(record.first, record.second).status().code(),
              StatusCode::kInvalidArgument)
        << record.first << record.second;
  }
}

std::string Entry(unsigned tag, unsigned permissions, std::uint32_t id = 0xffffffff) {
  std::string out = {static_cast<char>(tag), 0, static_cast<char>(permissions), 0};
  for (unsigned i = 0; i < 4; ++i) out += static_cast<char>(id >> (8 * i));
  return out;
}

TEST(TarExtrasTest, AclsBecomeTheKernelsBytes) {
  const std::string version("\2\0\0\0", 4);
  const std::string named = version + Entry(1, 7) + Entry(2, 5, 1000) + Entry(2, 4, 3000000000U) +
                            Entry(4, 5) + Entry(8, 0, 7) + Entry(16, 5) + Entry(32, 0);
  const std::string texts[] = {
      "user::rwx,user:ann:r-x:1000,user:bob:r--:3000000000,group::r-x,group:g:---:7,mask::r-x,"
      "other::---",
      "user::rwx\nuser:1000:r-x\t#effective:r-x\nuser:3000000000:r--\ngroup::r-x\ngroup:7:---\n"
      "mask::r-x\nother::---\n",
      "other:---,mask:r-x,g:7:---,g::r-x,u:3000000000:r--,u:1000:r-x,u::rwx",
  };
  for (const std::string& text : texts) {
    const Result<std::string> acl = AclFromText(text);
    ASSERT_TRUE(acl.ok()) << acl.status().message();
    EXPECT_EQ(*acl, named) << text;
  }
  EXPECT_EQ(DecodeExtraRecord("SCHILY.acl.default", "user::rw-")->first,
            "system.posix_acl_default");
  EXPECT_EQ(DecodeExtraRecord("SCHILY.acl.access", "user::rw-")->first, "system.posix_acl_access");
}

TEST(TarExtrasTest, AclsThatMeanNothingAreRefused) {
  EXPECT_EQ(AclFromText("user::rwx,user:ann:rwx").status().code(), StatusCode::kUnimplemented);
  for (const char* text : {"user", "user:", "user::rwz", "user::rw", "owner::rwx", "mask:5:rwx",
                           "user:ann:rwx:-1", "user:ann:rwx:4294967295", ":", "::"}) {
    EXPECT_FALSE(AclFromText(text).ok()) << text;
  }
}

}  // namespace
}  // namespace daxfs::oci
