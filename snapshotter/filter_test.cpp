// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/filter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daxfs::snapshotter {
namespace {

// What the grammar is tried on; results below are the letters of those that match.
const std::vector<std::pair<char, Info>> kCorpus = {
    {'a', {"foo", "", Kind::kCommitted, 0, 0, {{"foo", "true"}}}},
    {'b', {"bar", "foo", Kind::kActive, 0, 0, {}}},
    {'c',
     {"k8s.io/12/extract-1 sha256:ab", "foo", Kind::kView, 0, 0, {{"a key, of \"words\"", "x"}}}},
    {'d', {"baz", "bar", Kind::kCommitted, 0, 0, {{"containerd.io/snapshot.ref", "sha256:ab"}}}},
    {'e',
     {"too complex, yo", "", Kind::kActive, 0, 0, {{"foo", "omg_asdf.asdf-qwer"}, {"empty", ""}}}},
};

std::string Matching(const std::vector<std::string>& texts) {
  const Result<Filter> filter = Filter::Parse(texts);
  if (!filter.ok()) return filter.status().ToString();
  std::string result;
  for (const auto& [letter, info] : kCorpus) {
    if (filter->Matches(info)) result += letter;
  }
  return result;
}

struct Case {
  const char* text;
  const char* matching;
};

TEST(Filter, Matches) {
  const Case cases[] = {
      {"", "abcde"},
      {"name", "abcde"},
      {"parent", "abcde"},  // there, if "" with some
      {"parent!=\"\"", "bcd"},
      {"parent==foo", "bc"},
      {"kind==active", "be"},
      {"kind==committed,parent==bar", "d"},
      {"kind~=view|active", "bce"},
      {"nothing", ""},
      {"nothing!=x", "abcde"},
      {"labels", ""},
      {"labels.foo", "ae"},
      {"labels.foo,name", "ae"},
      {"labels.foo==true", "a"},
      {"labels.foo!=true", "bcde"},
      {"labels.foo~=\".*\"", "abcde"},  // "" of those that have none
      {"labels.foo~=/.+/", "ae"},
      {"labels.empty", "e"},
      {"labels.foo==omg_asdf.asdf-qwer", "e"},
      {"labels.\"containerd.io/snapshot.ref\"==\"sha256:ab\",parent==bar", "d"},
      {"labels.\"containerd.io/snapshot\".ref==sha256:ab", "d"},
      {"labels.\"containerd.io/snapshot.ref\"==sha256:ab", "d"},
      {"labels.\"a key, of \\\"words\\\"\"", "c"},
      {"name==bar", "b"},
      {"name!=bar", "acde"},
      {" name == bar", "b"},
      {"name==bar, kind==active", "b"},
      {"name==\"too complex, yo\"", "e"},
      {"name==\"k8s.io/12/extract-1 sha256:ab\"", "c"},
      {"name==\"\\x66\\157\\u006f\"", "a"},
      {"name~=ba[rz]", "bd"},
      {"name~=^ba,name!=baz", "b"},
      {"name~=/[ab]{1,2}r/", "b"},
      {"name~=|^ba[rz]$|", "bd"},
      {"name~=/k8s\\/12/", ""},  // \/ is / between two /
      {"name~=/io\\/12/", "c"},
      {"name~=\"b(\"", ""},  // no pattern
      {"name==\xc3\xa4", ""},
  };
  for (const Case& c : cases) EXPECT_EQ(Matching({c.text}), c.matching) << c.text;
}

TEST(Filter, AnyOfSeveral) {
  EXPECT_EQ(Matching({}), "abcde");
  EXPECT_EQ(Matching({"name==foo", "name==bar"}), "ab");
  EXPECT_EQ(Matching({"name==foo", ""}), "abcde");
}

TEST(Filter, RefusesOtherTexts) {
  const char* const texts[] = {
      ",",
      "name==foo,",
      "name,,name",
      "labels.",
      "labels..a",
      ".name",
      "labels.?\"key\"==present",
      "labels.|foo|==x",
      "labels.ns/key==value",
      "labels.key==/value",
      "labels.key==|value|",
      "labels.key==\"value",
      "name=foo",
      "name===foo",
      "name<>foo",
      "name==",
      "name==,kind==active",
      "name==.x",
      "name~=.x",
      "name~=|a|b|",
      "image~=,id?=?fbaq",
      "name==foo kind==active",
      "name==foo ",
      "name ",
      "name==\"\\q\"",
      "name==\"\\x6\"",
      "name==\"\\400\"",
      "name==\"\\UFFFFFFFF\"",
      "name==\"a\nb\"",
      "name==a\x01",
      "-name",
  };
  for (const char* text : texts) {
    EXPECT_EQ(Filter::Parse({"name", text}).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(Filter, SaysWhere) {
  EXPECT_EQ(Filter::Parse({"name==foo,"}).status().message(),
            "filter 'name==foo,', byte 10: expected a field, or one in \"\"");
}

}  // namespace
}  // namespace daxfs::snapshotter
