// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/convert/image_builder.hpp"
#include "common/format/image.hpp"
#include "common/os/testing/memory_file.hpp"

namespace daxfs::convert::testing {

// A Monitor that lets everything pass and counts.
class CountingMonitor final : public Monitor {
 public:
  Status Advance(std::uint64_t source_bytes, std::uint64_t entries) override {
    bytes += source_bytes;
    count += entries;
    return Status::Ok();
  }
  std::uint64_t bytes = 0;
  std::uint64_t count = 0;
};

// An image built in memory.
class BuiltImage {
 public:
  explicit BuiltImage(const BuildOptions& options = {});

  ImageBuilder& builder() { return builder_; }
  os::testing::MemoryFileState& state() { return state_; }
  Result<ImageSummary> Finish(const std::optional<format::SourceInfo>& source = {}) {
    return builder_.Finish(source);
  }
  // After Finish. The Image borrows this object's bytes.
  format::Image Open() const;
  const std::vector<std::byte>& raw() const { return state_.committed; }
  std::string bytes() const;

 private:
  os::testing::MemoryFileState state_;
  FileSink sink_;
  ImageBuilder builder_;
};

// The whole content of a file; stops the test on failure.
std::string ReadAll(const format::Image& image, const format::Inode& inode);

// Every path of an image with what it is, one line each, sorted:
// "path mode uid:gid size mtime.ns links [-> target] [dev a:b] [implicit] [xattr=hex]... [content]"
std::vector<std::string> Listing(const format::Image& image);

}  // namespace daxfs::convert::testing
