// SPDX-License-Identifier: Apache-2.0
#include "common/os/testing/scratch.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/base/check.hpp"

namespace daxfs::os::testing {
namespace {

TempDir MakeScratch() {
  const char* base = std::getenv("TMPDIR");
  Result<TempDir> dir = TempDir::Create(std::string(base == nullptr ? "/tmp" : base) + "/daxfs-");
  DAXFS_CHECK(dir.ok());
  return *std::move(dir);
}

}  // namespace

Scratch::Scratch() : dir_(MakeScratch()) {}

void WriteFile(const std::string& path, std::string_view content) {
  std::ofstream out(path, std::ios::binary);
  out << content;
  out.close();
  DAXFS_CHECK(out.good());
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  DAXFS_CHECK(in.good());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::size_t CountEntries(const std::string& path) {
  const std::filesystem::directory_iterator all(path);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace daxfs::os::testing
