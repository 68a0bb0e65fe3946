// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

enum class Access { kRead, kWrite };

// Memory that others change too: a file (on tmpfs, say), a memfd by its /proc/self/fd name, or a
// dax device, mapped shared as a whole. Unmapped by the destructor.
class SharedMemory {
 public:
  // Errors: by errno; kInvalidArgument for what is neither a file nor a character device.
  static Result<SharedMemory> Open(const std::string& path, Access access);

  SharedMemory(SharedMemory&& other) noexcept
      : path_(std::move(other.path_)),
        fd_(std::move(other.fd_)),
        address_(std::exchange(other.address_, nullptr)),
        length_(std::exchange(other.length_, 0)) {}
  SharedMemory& operator=(SharedMemory&&) = delete;
  ~SharedMemory();

  // Valid as long as this object. Writing requires that it was opened for that.
  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(address_), length_}; }
  int fd() const { return fd_.get(); }
  // Whether its path still names that file or device.
  bool IsStillThere() const;
  // What is behind it now: a file may be shorter or longer than what is mapped. Errors: by errno.
  Result<std::uint64_t> Size() const;
  // A file gets that size; a device has the one it has. Errors: by errno.
  Status SetSize(std::uint64_t size_bytes) const;
  // Memory, or disk, behind that many bytes from the beginning, what they hold is left alone; a
  // shorter file gets as long. Who writes to a hole for which there is none ends by SIGBUS. A file
  // system that cannot promise it (EOPNOTSUPP) is taken as it is. Errors: kResourceExhausted, with
  // what is needed and what is free: the file is as long as before; kInvalidArgument for more than
  // a device has; by errno.
  Status Reserve(std::uint64_t size_bytes) const;
  // Maps so much of a file, even if it is not so long yet; what was mapped may move. Nothing
  // happens to a device. Errors: by errno.
  Status Widen(std::uint64_t size_bytes);
  // Asks the driver behind a device. Errors: by errno; ENOTTY where nobody knows the request.
  Status Ask(unsigned long request, const void* argument) const;

 private:
  SharedMemory(std::string path, UniqueFd fd, void* address, std::size_t length)
      : path_(std::move(path)), fd_(std::move(fd)), address_(address), length_(length) {}

  std::string path_;
  UniqueFd fd_;
  void* address_;
  std::size_t length_;
};

// Has it mapped for writing at once, which costs less than page by page. A kernel or a driver that
// cannot (before Linux 5.14) does so when it is written to, and that tells what is wrong with it.
// Requires: of a mapping opened for writing, from a page's start on.
void FaultIn(std::span<std::byte> memory);

// A part of a SharedMemory's file: bytes from its start, multiples of a page.
struct Piece {
  const SharedMemory* memory = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// Pieces of shared memory, one behind the other, read-only.
class Gathered {
 public:
  // Errors: by errno (ENOMEM: more pieces than the kernel maps for one process).
  static Result<Gathered> Map(std::span<const Piece> pieces);

  Gathered(Gathered&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)),
        length_(std::exchange(other.length_, 0)) {}
  Gathered& operator=(Gathered&&) = delete;
  ~Gathered();

  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(address_), length_};
  }

 private:
  Gathered(void* address, std::size_t length) : address_(address), length_(length) {}

  void* address_;
  std::size_t length_;
};

// Makes `path` a file of `size_bytes` zeros, all of them a hole; a file that is there must be that
// long already, or empty. Nothing happens to a device. Errors: by errno; kAlreadyExists.
Status MakeSharedFile(const std::string& path, std::uint64_t size_bytes);

}  // namespace daxfs::os
