// SPDX-License-Identifier: Apache-2.0
#include "common/oci/digest.hpp"

#include <gtest/gtest.h>

#include <iostream>
#include <random>
#include <vector>

#include "common/oci/sha256_two.hpp"

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

// Every remainder of a block and of its padding, and a piece of the data area; OpenSSL's digests
// are what is right.
TEST(DigestTest, TwoAtOnceAreThoseOfEach) {
  std::cout << (HashesTwoAtOnce() ? "by the processor's instructions\n"
                                  : "this processor cannot: one after the other\n");
  std::mt19937 random(1);
  std::vector<std::byte> bytes(2 << 16U);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  const auto expect = [&](std::size_t size, std::size_t shift) {
    const std::span<const std::byte> a(bytes.data() + shift, size);
    const std::span<const std::byte> b(bytes.data() + size, size);
    const auto [first, second] = Sha256OfTwo(a, b);
    EXPECT_EQ(first, Sha256::Of(a)) << size;
    EXPECT_EQ(second, Sha256::Of(b)) << size;
  };
  for (std::size_t size = 0; size <= 4 * 64; ++size) expect(size, 0);
  for (std::size_t size : {65535U, 65536U}) expect(size, 0);
  expect(65529, 7);
  const auto [abc, same] = Sha256OfTwo(Bytes("abc"), Bytes("abc"));
  EXPECT_EQ(abc.ToString(), kAbc);
  EXPECT_EQ(same.ToString(), kAbc);
}

}  // namespace
}  // namespace daxfs::oci
