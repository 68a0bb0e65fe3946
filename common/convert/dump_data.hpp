// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/format/image.hpp"
#include "common/os/directory.hpp"

namespace daxfs::convert {

// A part of a file: `zeros` zeros, or `bytes`. Both empty at the end of the file.
struct DataPart {
  std::uint64_t zeros = 0;
  std::span<const std::byte> bytes;

  bool empty() const { return zeros == 0 && bytes.empty(); }
};

// Where the bytes of the files that a dump names come from. One file at a time.
class DumpData {
 public:
  virtual ~DumpData() = default;

  // Opens the file at `path` ("/a/b") instead of the one before and says how many bytes it has.
  // Errors: kNotFound; kInvalidArgument if it is no regular file; by errno.
  virtual Result<std::uint64_t> Open(const std::string& path) = 0;
  // The next part of it, valid until the next call. Errors: by errno; kDataLoss.
  virtual Result<DataPart> Next() = 0;

  // A directory, or an image file. Errors: by errno; those of format::Image::Open.
  static Result<std::unique_ptr<DumpData>> Of(const std::string& path);
};

// Files below a directory. Symbolic links are followed nowhere.
class DirectoryData final : public DumpData {
 public:
  explicit DirectoryData(os::Directory root) : root_(std::move(root)) {}

  Result<std::uint64_t> Open(const std::string& path) override;
  Result<DataPart> Next() override;

 private:
  Status EnterParent(const std::string& path);

  os::Directory root_;
  std::optional<os::Directory> parent_;  // none: the root
  std::string parent_path_;              // with a slash at its end; "/" is the root
  os::UniqueFd file_;
  std::vector<std::byte> buffer_;
};

// Files of another image.
class ImageData final : public DumpData {
 public:
  explicit ImageData(format::Image image) : image_(std::move(image)) {}

  Result<std::uint64_t> Open(const std::string& path) override;
  Result<DataPart> Next() override;

 private:
  format::Image image_;
  format::Inode file_;
  std::uint64_t position_ = 0;
};

}  // namespace daxfs::convert
