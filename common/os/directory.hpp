// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// What stat(2) says, without its types.
struct FileInfo {
  std::uint32_t mode = 0;  // type and permission bits as in st_mode
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t link_count = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_seconds = 0;
  std::uint32_t mtime_nanoseconds = 0;
  std::uint32_t device_major = 0;  // of a device node
  std::uint32_t device_minor = 0;
  std::uint64_t filesystem = 0;  // with inode: identity of the file on this host
  std::uint64_t inode = 0;
};

struct Xattr {
  std::string name;
  std::string value;  // bytes
};

// An open directory. Everything below it is reached relative to its descriptor and never outside of
// it.
class Directory {
 public:
  // Errors: by errno; kInvalidArgument if `path` is not a directory.
  static Result<Directory> Open(const std::string& path);

  // A directory directly below; symbolic links are not followed. Errors: by errno.
  Result<Directory> OpenDirectory(const std::string& name) const;
  // The directory `path` leads to for who has this one as his root: absolute links and ".." stay in
  // it. Errors: by errno.
  Result<Directory> Follow(const std::string& path) const;
  // A regular file below, for reading; `path` may have several components, symbolic links may not
  // lead out. Errors: by errno; kInvalidArgument if it is not a regular file.
  Result<UniqueFd> OpenFile(const std::string& path) const;

  // All names but "." and "..", sorted by their bytes. Errors: by errno.
  Result<std::vector<std::string>> Names() const;
  // Of the entry itself, never of what a symbolic link points to. "" means this directory. Errors:
  // by errno.
  Result<FileInfo> Stat(const std::string& name) const;
  Result<std::string> ReadLink(const std::string& name) const;
  // Sorted by name. Filesystems without extended attributes have none. "" means this directory.
  Result<std::vector<Xattr>> Xattrs(const std::string& name) const;

 private:
  explicit Directory(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

// FileInfo of an open file. Errors: by errno.
Result<FileInfo> StatFd(int fd);

}  // namespace daxfs::os
