// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/challenge.hpp"

#include <gtest/gtest.h>

#include <string>

namespace daxfs::oci {
namespace {

std::string Show(const std::vector<Challenge>& challenges) {
  std::string out;
  for (const Challenge& challenge : challenges) {
    out += challenge.scheme + "(";
    for (const auto& [name, value] : challenge.parameters) out += name + "=" + value + ";";
    out += ")";
  }
  return out;
}

TEST(ChallengeTest, EverySpellingIsRead) {
  const std::pair<const char*, const char*> rows[] = {
      {"", ""},
      {"Basic", "basic()"},
      {"Basic realm=\"a b\"", "basic(realm=a b;)"},
      {"BEARER realm=\"https://x/t\",service=\"s\",scope=\"repository:a/b:pull\"",
       "bearer(realm=https://x/t;scope=repository:a/b:pull;service=s;)"},
      {"Bearer realm=\"x\" , service = s", "bearer(realm=x;service=s;)"},
      {"Basic realm=x, Bearer realm=\"y\", service=z", "basic(realm=x;)bearer(realm=y;service=z;)"},
      {"Negotiate, Basic realm=x", "negotiate()basic(realm=x;)"},
      {"Basic realm=\"a\\\"b\\\\c\"", "basic(realm=a\"b\\c;)"},
      {"Basic realm=\"a,b=c\"", "basic(realm=a,b=c;)"},
      {",, Basic realm=x", "basic(realm=x;)"},
      {"Basic YWJj==", "basic(ywjj=;)"},
      {"Basic realm=\"without an end", "basic()"},
      {"Basic realm=\"\\", "basic()"},
      {"=\"", ""},
  };
  for (const auto& [field, shown] : rows) {
    SCOPED_TRACE(field);
    EXPECT_EQ(Show(ParseChallenges(field)), shown);
  }
}

}  // namespace
}  // namespace daxfs::oci
