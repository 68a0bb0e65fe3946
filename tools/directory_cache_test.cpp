// SPDX-License-Identifier: Apache-2.0
#include "tools/directory_cache.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "common/os/testing/scratch.hpp"

namespace daxfs::tools {
namespace {

// Whatever was opened before, the directory is the one the path names: what is made in it shows.
TEST(DirectoryCacheTest, OpensWhatThePathNames) {
  const os::testing::Scratch scratch;
  std::vector<std::string> paths = {"", "/a", "/ab", "/a/b"};
  for (const char* chain : {"/a", "/b", "/a/b"}) {
    std::string path = chain;
    for (int i = 0; i < 100; ++i) {
      path += "/d";
      paths.push_back(path);
    }
    paths.push_back(path);
  }
  for (const std::string& path : paths) std::filesystem::create_directories(scratch.path() + path);
  const os::NewDirectory root = *os::NewDirectory::Open(scratch.path());
  DirectoryCache cache(root);
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string& path = paths[random() % paths.size()];
    const std::string name = "f" + std::to_string(i);
    const Result<const os::NewDirectory*> opened = cache.Open(path);
    ASSERT_TRUE(opened.ok()) << path << opened.status().message();
    ASSERT_TRUE((*opened)->MakeFile(name).ok());
    ASSERT_TRUE(std::filesystem::remove(scratch.path() + path + "/" + name)) << path;
    if (i % 50 == 0) {
      EXPECT_FALSE(cache.Open(path + "/none/below").ok());
    }
  }
}

}  // namespace
}  // namespace daxfs::tools
