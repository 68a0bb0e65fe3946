// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "common/format/image.hpp"

namespace daxfs::tools {

// What FUSE asks of an image, without FUSE: numbers and bytes out of it. Inodes are checked as the
// kernel module checks them, once before their first use. Thread safe.
class FuseFilesystem {
 public:
  // One entry of a directory as readdir gives it out.
  struct Entry {
    std::string name;
    struct stat attributes {};  // only st_ino and st_mode's type where the inode is bad
    std::uint64_t next = 0;     // the offset that goes on behind it
    bool good = false;          // `attributes` are whole, and the entry may be looked up
  };

  // Borrows both; `log` for one line an inode that is wrong.
  FuseFilesystem(const format::Image& image, base::Logger& log);

  // Errors of all: kNotFound for what is not there; kDataLoss for wrong bytes.
  Result<struct stat> GetAttributes(std::uint64_t number);
  Result<struct stat> Lookup(std::uint64_t directory, std::string_view name);
  // Before the first read. Errors: also kInvalidArgument for what can be opened no such way.
  Status Open(std::uint64_t number);
  Status OpenDirectory(std::uint64_t number);
  // The entry at `offset`: 0 is ".", 1 "..", then as in the image. Errors: kNotFound at the end.
  // `whole`: with attributes.
  Result<Entry> EntryAt(std::uint64_t directory, std::uint64_t offset, bool whole);
  // At most `length` bytes from `offset` on as pieces of the image, holes as pieces of zeros; fewer
  // at the end of the file.
  Result<std::vector<struct iovec>> Read(std::uint64_t number, std::uint64_t offset,
                                         std::size_t length);
  // The next byte of data, or of a hole, from `offset` on. Errors: ENXIO as lseek(2) says.
  Result<std::uint64_t> Seek(std::uint64_t number, std::uint64_t offset, bool hole);
  Result<std::string> ReadLink(std::uint64_t number);
  // Errors: ENODATA if there is none of that name.
  Result<std::string_view> GetXattr(std::uint64_t number, std::string_view name);
  // All names, each with a NUL behind it.
  Result<std::string> ListXattrs(std::uint64_t number);
  struct statvfs Statistics() const;

 private:
  Result<format::Inode> Get(std::uint64_t number);
  Status CheckOnce(const format::Inode& inode);
  // Keeps a failure, and says so if it is the image's.
  Status Note(std::uint64_t number, Status status);

  const format::Image& image_;
  base::Logger& log_;
  std::vector<std::atomic<bool>> checked_;  // inode number - 1
  std::atomic<unsigned> noted_{0};
};

}  // namespace daxfs::tools
