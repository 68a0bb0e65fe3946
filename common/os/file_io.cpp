// SPDX-License-Identifier: Apache-2.0
#include "common/os/file_io.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace daxfs::os {

Result<UniqueFd> OpenForReading(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  return fd;
}

Result<std::size_t> ReadSome(int fd, std::span<std::byte> out) {
  for (;;) {
    const ssize_t n = ::read(fd, out.data(), out.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) return Status::FromErrno(errno, "read");
  }
}

Result<std::size_t> ReadFull(int fd, std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    ASSIGN_OR_RETURN(const std::size_t n, ReadSome(fd, out.subspan(done)));
    if (n == 0) break;
    done += n;
  }
  return done;
}

Status PReadExact(int fd, std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::FromErrno(errno, "pread");
    if (n == 0) return DataLossError("pread: the file ends at byte " + std::to_string(offset));
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return Status::Ok();
}

Status PWriteAll(int fd, std::uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::FromErrno(errno, "pwrite");
    data = data.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return Status::Ok();
}

Result<std::string> ReadWholeFile(int fd, std::size_t limit_bytes) {
  std::string text;
  std::array<std::byte, 16384> buffer{};
  for (;;) {
    ASSIGN_OR_RETURN(const std::size_t n, ReadSome(fd, buffer));
    if (n == 0) return text;
    if (text.size() + n > limit_bytes) {
      return Status(StatusCode::kOutOfRange,
                    "larger than " + std::to_string(limit_bytes) + " bytes");
    }
    text.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
}

bool IsTerminal(int fd) { return ::isatty(fd) == 1; }

}  // namespace daxfs::os
