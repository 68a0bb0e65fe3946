// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/os/output_file.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// OutputFile on a real filesystem: O_TMPFILE where there is one (then even SIGKILL leaves nothing),
// else a temporary name beside the target. Commit makes the name appear atomically but does not
// sync the disk.
class AtomicFile final : public OutputFile {
 public:
  // Errors: by errno; kInvalidArgument if `path` exists and is not a regular file.
  static Result<std::unique_ptr<AtomicFile>> Create(const std::string& path);

  ~AtomicFile() override;
  Status Write(std::uint64_t offset, std::span<const std::byte> data) override;
  Status Read(std::uint64_t offset, std::span<std::byte> out) override;
  Status Zero(std::uint64_t offset, std::uint64_t length) override;
  Status Truncate(std::uint64_t size_bytes) override;
  Status Commit() override;

 private:
  AtomicFile(UniqueFd fd, std::string path, std::string temporary)
      : fd_(std::move(fd)), path_(std::move(path)), temporary_(std::move(temporary)) {}
  Status NameUnnamed();

  UniqueFd fd_;
  std::string path_;
  std::string temporary_;  // empty while the file has no name at all
  std::uint64_t size_bytes_ = 0;
};

}  // namespace daxfs::os
