// SPDX-License-Identifier: Apache-2.0
#include "common/convert/testing/build.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/hex.hpp"

namespace daxfs::convert::testing {
namespace {

std::string Line(const format::Image& image, const std::string& path, const format::Inode& inode) {
  const std::uint32_t type = inode.mode & kTypeMask;
  std::string line =
      fmt::format("{} {:o} {}:{} {} {}.{} {}", path, inode.mode, inode.uid, inode.gid,
                  inode.size_bytes, inode.mtime_seconds, inode.mtime_nanoseconds, inode.link_count);
  if (type == kTypeSymlink) line += fmt::format(" -> {}", *image.SymlinkTarget(inode));
  if (type == kTypeCharacter || type == kTypeBlock) {
    line += fmt::format(" dev {}:{}", inode.device_major, inode.device_minor);
  }
  if (inode.implicit) line += " implicit";
  for (const format::XattrEntry& xattr : *image.Xattrs(inode)) {
    line += fmt::format(" {}={}", xattr.name, base::ToHex(std::as_bytes(std::span(xattr.value))));
  }
  if (type == kTypeFile && inode.size_bytes < 100) line += " " + ReadAll(image, inode);
  return line;
}

}  // namespace

BuiltImage::BuiltImage(const BuildOptions& options)
    : sink_(std::make_unique<os::testing::MemoryFile>(state_)), builder_(sink_, options) {}

format::Image BuiltImage::Open() const {
  DAXFS_CHECK(state_.is_committed);
  Result<format::Image> image = format::Image::FromBytes(state_.committed);
  if (!image.ok()) fmt::print(stderr, "{}\n", image.status().message());
  return *std::move(image);
}

std::string BuiltImage::bytes() const {
  return {reinterpret_cast<const char*>(state_.committed.data()), state_.committed.size()};
}

std::string ReadAll(const format::Image& image, const format::Inode& inode) {
  std::string content;
  while (content.size() < inode.size_bytes) {
    const format::DataRun run = *image.RunAt(inode, content.size());
    if (run.hole) {
      content.append(run.length, '\0');
    } else {
      content.append(reinterpret_cast<const char*>(run.bytes.data()), run.length);
    }
  }
  return content;
}

std::vector<std::string> Listing(const format::Image& image) {
  std::vector<std::string> lines;
  std::vector<std::pair<std::string, format::Inode>> open = {{"", *image.Root()}};
  while (!open.empty()) {
    const auto [path, inode] = std::move(open.back());
    open.pop_back();
    lines.push_back(Line(image, path.empty() ? "/" : path, inode));
    for (std::uint64_t i = 0; i < inode.entries; ++i) {
      const format::DirectoryEntry entry = *image.Entry(inode, i);
      open.emplace_back(path + "/" + std::string(entry.name), *image.InodeAt(entry.number));
    }
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace daxfs::convert::testing
