// SPDX-License-Identifier: Apache-2.0
#include "common/os/file_io.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace daxfs::os {

Result<UniqueFd> OpenForReading(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return Status::FromErrno(errno, path);
  if (S_ISDIR(info.st_mode)) return InvalidArgumentError(path + ": is a directory");
  if (::fcntl(fd.get(), F_SETFL, 0) != 0) return Status::FromErrno(errno, path);
  return fd;
}

bool IsSameFile(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

Result<std::optional<std::uint64_t>> SeekData(int fd, std::uint64_t position) {
  const auto wanted = static_cast<off_t>(position);
  off_t found = ::lseek(fd, wanted, SEEK_DATA);
  if (found < 0 && errno == ENXIO) {
    if (::lseek(fd, 0, SEEK_END) < 0) return Status::FromErrno(errno, "lseek");
    return std::optional<std::uint64_t>();
  }
  if (found < 0 && errno == EINVAL) found = ::lseek(fd, wanted, SEEK_SET);
  if (found < 0) return Status::FromErrno(errno, "lseek");
  return std::optional<std::uint64_t>(static_cast<std::uint64_t>(found));
}

Result<bool> WaitReadable(int fd, int timeout_ms) {
  pollfd entry = {fd, POLLIN, 0};
  const int n = ::poll(&entry, 1, timeout_ms);
  if (n < 0 && errno != EINTR) return Status::FromErrno(errno, "poll");
  return n > 0;
}

std::string TemporaryDirectory() {
  const char* chosen = std::getenv("TMPDIR");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/var/tmp";
}

Result<UniqueFd> OpenUnnamed() {
  const std::string directory = TemporaryDirectory();
  UniqueFd fd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd.valid()) return fd;
  // Not every filesystem has unnamed files.
  std::string name = directory + "/daxfs.XXXXXX";
  fd = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, directory);
  ::unlink(name.c_str());
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

Status Truncate(int fd, std::uint64_t size_bytes) {
  if (::ftruncate(fd, static_cast<off_t>(size_bytes)) == 0) return Status::Ok();
  return Status::FromErrno(errno, "ftruncate");
}

bool IsTerminal(int fd) { return ::isatty(fd) == 1; }

std::optional<TerminalSize> SizeOfTerminal(int fd) {
  if (!IsTerminal(fd)) return std::nullopt;
  TerminalSize size;
  winsize said = {};
  if (::ioctl(fd, TIOCGWINSZ, &said) != 0) return size;
  if (said.ws_col != 0) size.columns = said.ws_col;
  if (said.ws_row != 0) size.rows = said.ws_row;
  return size;
}

bool ShowsColor(int fd) {
  const char* off = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool dumb = term != nullptr && std::string_view(term) == "dumb";
  return IsTerminal(fd) && !dumb && (off == nullptr || *off == '\0');
}

}  // namespace daxfs::os
