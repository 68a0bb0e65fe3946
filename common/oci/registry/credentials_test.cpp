// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/credentials.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "common/os/testing/scratch.hpp"

namespace daxfs::oci {
namespace {

std::string Show(const Result<std::optional<Credentials>>& found) {
  if (!found.ok()) return found.status().ToString();
  if (!*found) return "none";
  return (*found)->user + "/" + (*found)->password + "/" + (*found)->identity_token;
}

CredentialStore Parsed(const std::string& json) {
  Result<CredentialStore> store = CredentialStore::Parse(json);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return store.ok() ? *std::move(store) : CredentialStore();
}

TEST(CredentialStoreTest, TheMostSpecificEntryCounts) {
  // "user:pass", "team:secret:with:colons", "a:b" without padding to strip.
  const CredentialStore store = Parsed(R"({"auths": {
    "localhost:5000": {"auth": "dXNlcjpwYXNz"},
    "localhost:5000/team": {"auth": "dGVhbTpzZWNyZXQ6d2l0aDpjb2xvbnM="},
    "https://index.docker.io/v1/": {"username": "hub", "password": "p"},
    "https://old.example/v2/": {"auth": "YTpi"},
    "token.example": {"identitytoken": "t"},
    "empty.example": {}
  }})");
  EXPECT_EQ(Show(store.Find("localhost:5000", "image")), "user/pass/");
  EXPECT_EQ(Show(store.Find("localhost:5000", "team/image")), "team/secret:with:colons/");
  EXPECT_EQ(Show(store.Find("localhost:5000", "teams/image")), "user/pass/");
  EXPECT_EQ(Show(store.Find("docker.io", "library/debian")), "hub/p/");
  EXPECT_EQ(Show(store.Find("old.example", "x")), "a/b/");
  EXPECT_EQ(Show(store.Find("token.example", "x")), "//t");
  EXPECT_EQ(Show(store.Find("empty.example", "x")), "none");
  EXPECT_EQ(Show(store.Find("localhost", "image")), "none");
}

TEST(CredentialStoreTest, WhatIsNoneIsRefusedWithTheReason) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "not a JSON object"},
      {"[]", "not a JSON object"},
      {R"({"auths": {"x": 1}})", "auths, x: is no object"},
      {R"({"auths": {"x": {"auth": "%%%%"}}})", "is not base64"},
      {R"({"auths": {"x": {"auth": "abc"}}})", "is not base64"},
      {R"({"auths": {"x": {"auth": "YWJj"}}})", "is no user:password"},
  };
  for (const auto& [json, said] : rows) {
    SCOPED_TRACE(json);
    const Result<CredentialStore> store = CredentialStore::Parse(json);
    ASSERT_FALSE(store.ok());
    EXPECT_NE(store.status().message().find(said), std::string::npos) << store.status().message();
  }
}

class HelperTest : public testing::Test {
 protected:
  HelperTest() : path_(getenv("PATH")) {
    EXPECT_EQ(setenv("PATH", (scratch_.Path("") + ":" + path_).c_str(), 1), 0);
  }
  ~HelperTest() override { setenv("PATH", path_.c_str(), 1); }

  void Install(const std::string& name, const std::string& script) {
    const std::string path = scratch_.Path("docker-credential-" + name);
    os::testing::WriteFile(path, "#!/bin/sh\n" + script);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }

 private:
  const os::testing::Scratch scratch_;
  const std::string path_;
};

TEST_F(HelperTest, TheHostIsAskedForOnStandardInput) {
  Install("echo",
          "[ \"$1\" = get ] && printf '{\"Username\": \"u\", \"Secret\": \"%s\"}' \"$(cat)\"");
  Install("token", "echo '{\"Username\": \"<token>\", \"Secret\": \"t\"}'");
  const CredentialStore store = Parsed(
      R"({"credHelpers": {"a.example": "echo", "b.example": "token"}, "credsStore": "echo"})");
  EXPECT_EQ(Show(store.Find("a.example", "x")), "u/a.example/");
  EXPECT_EQ(Show(store.Find("b.example", "x")), "//t");
  EXPECT_EQ(Show(store.Find("c.example", "x")), "u/c.example/");
  EXPECT_EQ(Show(store.Find("docker.io", "x")), "u/https://index.docker.io/v1//");
}

TEST_F(HelperTest, WhoFailsIsNamed) {
  Install("bad", "echo broken >&2; exit 3");
  Install("unknown", "echo credentials not found in native keychain; exit 1");
  Install("text", "echo hello");
  const std::pair<const char*, const char*> rows[] = {
      {"bad", "docker-credential-bad fails for a.example: broken"},
      {"unknown", "none"},
      {"text", "does not answer with JSON"},
      {"missing", "is not in $PATH"},
      {"../x", "is not in $PATH"},
  };
  for (const auto& [helper, said] : rows) {
    SCOPED_TRACE(helper);
    const CredentialStore store = Parsed(R"({"credsStore": ")" + std::string(helper) + "\"}");
    EXPECT_NE(Show(store.Find("a.example", "x")).find(said), std::string::npos)
        << Show(store.Find("a.example", "x"));
  }
}

TEST(CredentialStoreTest, AFileThatWasNamedHasToBeThere) {
  const Result<CredentialStore> store = CredentialStore::Open("/nonexistent/auth.json");
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace daxfs::oci
