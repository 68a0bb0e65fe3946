// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/directory.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// A directory being filled by this program alone. Names are made new and never opened if something
// is there already; symbolic links are followed nowhere. A `name` is one component; "" means the
// directory itself where that makes sense. Errors of all: by errno, with the call in the message.
class NewDirectory {
 public:
  // An existing directory. Errors: also kInvalidArgument if it is none.
  static Result<NewDirectory> Open(const std::string& path);
  // One below, made before.
  Result<NewDirectory> OpenDirectory(const std::string& name) const;

  // Mode 0700 until SetMode.
  Status MakeDirectory(const std::string& name) const;
  // Empty, for writing; mode 0600 until SetMode.
  Result<UniqueFd> MakeFile(const std::string& name) const;
  Status MakeSymlink(const std::string& name, const std::string& target) const;
  // A device, FIFO or socket: `mode` with its type.
  Status MakeNode(const std::string& name, std::uint32_t mode, std::uint32_t device_major,
                  std::uint32_t device_minor) const;
  // `name` becomes one more name of `old_name` in `from`.
  Status Link(const std::string& name, const NewDirectory& from, const std::string& old_name) const;

  // In this order: an owner's change takes set-id bits and capabilities away, everything changes
  // the time.
  Status SetOwner(const std::string& name, std::uint32_t uid, std::uint32_t gid) const;
  Status SetXattr(const std::string& name, const Xattr& xattr) const;
  // It is no error if there is none of that name.
  Status RemoveXattr(const std::string& name, const std::string& xattr) const;
  // Permissions, set-id and sticky bits; not of a symbolic link, which has none.
  Status SetMode(const std::string& name, std::uint32_t mode) const;
  Status SetTime(const std::string& name, std::int64_t seconds, std::uint32_t nanoseconds) const;

 private:
  std::string ProcPath(const std::string& name) const;
  explicit NewDirectory(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

// Gives a new file its size; what is not written is a hole. Errors: by errno.
Status SetFileSize(int fd, std::uint64_t size_bytes);

}  // namespace daxfs::os
