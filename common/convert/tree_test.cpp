// SPDX-License-Identifier: Apache-2.0
#include "common/convert/tree.hpp"

#include <gtest/gtest.h>

#include <string>

namespace daxfs::convert {
namespace {

Node File(const std::string& target = "") {
  Node node;
  node.attributes.mode = target.empty() ? kTypeFile : kTypeSymlink;
  node.target = target;
  return node;
}

Node Directory() {
  Node node;
  node.attributes.mode = kTypeDirectory;
  return node;
}

TEST(TreeTest, WhatReplacesTakesNoMoreRoomThanWhatItReplaced) {
  int gone = 0;
  Tree tree([&](const Node&) { ++gone; }, 4096);
  for (int i = 0; i < 1000; ++i) {
    const Result<NodeId> directory = tree.Add(Tree::kRoot, "d", Directory());
    ASSERT_TRUE(directory.ok()) << i << directory.status().message();
    const Result<NodeId> file = tree.Add(*directory, "f", File(std::string(100, 't')));
    ASSERT_TRUE(file.ok()) << i << file.status().message();
    ASSERT_TRUE(tree.Link(*directory, "g", *file).ok());
    tree.Remove(Tree::kRoot, "d");
  }
  EXPECT_EQ(gone, 2000);
  EXPECT_LE(tree.Capacity(), 3U);
}

TEST(TreeTest, MemoryHasAnEnd) {
  constexpr std::uint64_t kMost = 100000;
  const auto refused_at = [](const std::function<Status(Tree&, int)>& add) {
    Tree tree([](const Node&) {}, kMost);
    for (int i = 0;; ++i) {
      const Status added = add(tree, i);
      if (added.ok()) continue;
      EXPECT_EQ(added.code(), StatusCode::kResourceExhausted) << added.message();
      return i;
    }
  };
  const auto files = [](Tree& tree, int i) {
    return tree.Add(Tree::kRoot, std::to_string(i), File()).status();
  };
  const auto directories = [](Tree& tree, int i) {
    return tree.Add(Tree::kRoot, std::to_string(i), Directory()).status();
  };
  const auto long_names = [](Tree& tree, int i) {
    std::string name = std::to_string(i);
    return tree.Add(Tree::kRoot, name.append(255 - name.size(), 'x'), File()).status();
  };
  const auto long_targets = [](Tree& tree, int i) {
    return tree.Add(Tree::kRoot, std::to_string(i), File(std::string(4000, 'x'))).status();
  };
  const auto links = [](Tree& tree, int i) {
    if (i == 0) return tree.Add(Tree::kRoot, "0", File()).status();
    return tree.Link(Tree::kRoot, std::to_string(i), *tree.Child(Tree::kRoot, "0"));
  };
  const int most = refused_at(files);
  EXPECT_GT(most, 300);
  EXPECT_LT(most, 1000);
  EXPECT_LT(refused_at(directories), most);
  EXPECT_LT(refused_at(long_names), most);
  EXPECT_LT(refused_at(long_targets), 25);
  EXPECT_GT(refused_at(links), most);
}

}  // namespace
}  // namespace daxfs::convert
