// SPDX-License-Identifier: Apache-2.0
#include "common/convert/dump_data.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/convert/tree.hpp"
#include "common/os/file_io.hpp"

namespace daxfs::convert {
namespace {

constexpr std::size_t kStep = std::size_t{1} << 20U;

}  // namespace

Result<std::unique_ptr<DumpData>> DumpData::Of(const std::string& path) {
  std::error_code ignored;  // what it is not is said by who opens it
  if (std::filesystem::is_directory(path, ignored)) {
    ASSIGN_OR_RETURN(os::Directory root, os::Directory::Open(path));
    return std::unique_ptr<DumpData>(std::make_unique<DirectoryData>(std::move(root)));
  }
  ASSIGN_OR_RETURN(format::Image image, format::Image::Open(path));
  return std::unique_ptr<DumpData>(std::make_unique<ImageData>(std::move(image)));
}

// Files of one directory come one behind the other, so the last one stays open.
Status DirectoryData::EnterParent(const std::string& path) {
  const std::string wanted = path.substr(0, path.rfind('/') + 1);
  if (wanted == parent_path_) return Status::Ok();
  parent_path_.clear();
  parent_.reset();
  for (std::size_t at = 1; at < wanted.size();) {
    const std::size_t slash = wanted.find('/', at);
    const std::string name = wanted.substr(at, slash - at);
    const os::Directory& above = parent_.has_value() ? *parent_ : root_;
    ASSIGN_OR_RETURN(os::Directory below, above.OpenDirectory(name));
    parent_.emplace(std::move(below));
    at = slash + 1;
  }
  parent_path_ = wanted;
  return Status::Ok();
}

Result<std::uint64_t> DirectoryData::Open(const std::string& path) {
  RETURN_IF_ERROR(EnterParent(path));
  const os::Directory& parent = parent_.has_value() ? *parent_ : root_;
  const std::string name = path.substr(path.rfind('/') + 1);
  ASSIGN_OR_RETURN(const os::FileInfo named, parent.Stat(name));
  if ((named.mode & kTypeMask) != kTypeFile) {
    return InvalidArgumentError("not a regular file in the data");
  }
  ASSIGN_OR_RETURN(file_, parent.OpenFile(name));
  ASSIGN_OR_RETURN(const os::FileInfo opened, os::StatFd(file_.get()));
  // OpenFile follows a symbolic link that was put there in between.
  if (opened.inode != named.inode || opened.filesystem != named.filesystem) {
    return Status(StatusCode::kAborted, "changed while it was opened");
  }
  return opened.size_bytes;
}

Result<DataPart> DirectoryData::Next() {
  buffer_.resize(kStep);
  ASSIGN_OR_RETURN(const std::size_t n, os::ReadFull(file_.get(), buffer_));
  return DataPart{0, std::span(buffer_).first(n)};
}

Result<std::uint64_t> ImageData::Open(const std::string& path) {
  ASSIGN_OR_RETURN(file_, image_.Lookup(path));
  if ((file_.mode & kTypeMask) != kTypeFile) {
    return InvalidArgumentError("not a regular file in the data");
  }
  RETURN_IF_ERROR(image_.Check(file_));
  position_ = 0;
  return file_.size_bytes;
}

Result<DataPart> ImageData::Next() {
  if (position_ == file_.size_bytes) return DataPart{};
  ASSIGN_OR_RETURN(const format::DataRun run, image_.RunAt(file_, position_));
  const std::size_t n = std::min<std::uint64_t>(run.length, kStep);
  position_ += n;
  return run.hole ? DataPart{n, {}} : DataPart{0, run.bytes.first(n)};
}

}  // namespace daxfs::convert
