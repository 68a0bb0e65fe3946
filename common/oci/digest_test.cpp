// SPDX-License-Identifier: Apache-2.0
#include "common/oci/digest.hpp"

#include <gtest/gtest.h>

namespace daxfs::oci {
namespace {

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

constexpr char kAbc[] = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kEmpty[] = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(DigestTest, KnownAnswersInParts) {  // FIPS 180-4 examples
  Sha256 hasher;
  hasher.Update(Bytes("a"));
  hasher.Update(Bytes("bc"));
  EXPECT_EQ(hasher.Finish().ToString(), kAbc);
  EXPECT_EQ(hasher.Finish().ToString(), kEmpty);
  hasher.Update(Bytes("x"));
  hasher.Reset();
  EXPECT_EQ(hasher.Finish().ToString(), kEmpty);
  EXPECT_EQ(Sha256::Of(Bytes("abc")).ToString(), kAbc);
}

TEST(DigestTest, ParseReadsOneSpelling) {
  EXPECT_EQ(Digest::Parse(kAbc)->ToString(), kAbc);
  const std::string upper = "sha256:BA" + std::string(kAbc).substr(9);
  for (const std::string& text :
       {upper, std::string("sha256:"), std::string("sha256:abc"), std::string(kAbc) + "0",
        std::string(kAbc).substr(7), std::string("sha256:../../etc/passwd"), std::string()}) {
    EXPECT_EQ(Digest::Parse(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(Digest::Parse("sha512:ab").status().code(), StatusCode::kUnimplemented);
}

TEST(DigestTest, AChainIsMadeOfTheTextsOfTwo) {  // SHA-256 of both with a space between
  EXPECT_EQ(ChainId(*Digest::Parse(kAbc), *Digest::Parse(kEmpty)).ToString(),
            "sha256:dd8ddd90bdf3ccbd91abd3f399218c9d93e91246734fab743933f42048ac3e2c");
}

}  // namespace
}  // namespace daxfs::oci
