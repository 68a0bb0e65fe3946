// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/reference.hpp"

#include <gtest/gtest.h>

#include <string>

namespace daxfs::oci {
namespace {

const std::string kHex(64, 'a');

struct Good {
  std::string text;
  std::string shown;
};

TEST(ImageReferenceTest, AllSpellingsMeanOneThing) {
  const std::string digest = "@sha256:" + kHex;
  const Good rows[] = {
      {"debian", "docker.io/library/debian:latest"},
      {"debian:12", "docker.io/library/debian:12"},
      {"team/image", "docker.io/team/image:latest"},
      {"docker.io/debian", "docker.io/library/debian:latest"},
      {"localhost/image", "localhost/image:latest"},
      {"localhost:5000/image:1", "localhost:5000/image:1"},
      {"127.0.0.1:5000/a/b/c:x.y-z_1", "127.0.0.1:5000/a/b/c:x.y-z_1"},
      {"[::1]:5000/image", "[::1]:5000/image:latest"},
      {"registry.example/a__b/c-d.e---f", "registry.example/a__b/c-d.e---f:latest"},
      {"registry.example/image" + digest, "registry.example/image" + digest},
      {"registry.example/image:1" + digest, "registry.example/image:1" + digest},
      {"Host/image", "Host/image:latest"},
  };
  for (const Good& row : rows) {
    SCOPED_TRACE(row.text);
    const Result<ImageReference> parsed = ImageReference::Parse(row.text);
    ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
    EXPECT_EQ(parsed->ToString(), row.shown);
    const Result<ImageReference> again = ImageReference::Parse(row.shown);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again->ToString(), row.shown);
  }
}

struct Bad {
  std::string text;
  std::string said;
};

TEST(ImageReferenceTest, WhatIsNoneIsRefusedWithTheReason) {
  const Bad rows[] = {
      {"", "no repository"},
      {"Debian", "no repository"},
      {"a//b", "no repository"},
      {"a/../b", "no repository"},
      {"localhost:5000/", "no repository"},
      {"localhost:5000/a/", "no repository"},
      {"a___b", "no repository"},
      {"a..b/c", "no host"},
      {"-a", "no repository"},
      {"image:", "no tag"},
      {"image:.x", "no tag"},
      {"image:" + std::string(129, 'x'), "no tag"},
      {"image@sha256:12", "sha256"},
      {"image@md5:12", "md5"},
      {"host:port/image", "no host"},
      {"host:123456/image", "no host"},
      {"[::1/image", "no host"},
      {"user@host/image", "image \"user@host/image\""},
      {"https://host/image", "no host"},
      {std::string(260, 'a'), "no repository"},
      {"ima ge", "no repository"},
      {"image\nx", "no repository"},
  };
  for (const Bad& row : rows) {
    SCOPED_TRACE(row.text);
    const Result<ImageReference> parsed = ImageReference::Parse(row.text);
    ASSERT_FALSE(parsed.ok()) << parsed->ToString();
    EXPECT_NE(parsed.status().message().find(row.said), std::string::npos)
        << parsed.status().message();
  }
}

}  // namespace
}  // namespace daxfs::oci
