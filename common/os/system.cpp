// SPDX-License-Identifier: Apache-2.0
#include "common/os/system.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "common/os/file_io.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {
namespace {

constexpr std::size_t kLineLimit = 4096;

}  // namespace

Status RandomBytes(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::FromErrno(errno, "getrandom");
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return Status::Ok();
}

std::uint64_t WallClockSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec);
}

std::string HostName() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

Result<std::string> BootId() { return ReadLine("/proc/sys/kernel/random/boot_id"); }

Result<std::string> ReadLine(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  ASSIGN_OR_RETURN(std::string text, ReadWholeFile(fd.get(), kLineLimit).WithContext(path));
  text = text.substr(0, text.find('\n'));
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return std::string();
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  return error ? Status::FromErrno(error.value(), path) : Status::Ok();
}

void OccupyStandardFiles() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // What is closed at exec was not inherited: a library has opened it before main().
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0 ? (flags & FD_CLOEXEC) == 0 : errno != EBADF) continue;
    // Opened so that its use fails as that of a closed one.
    UniqueFd unusable(::open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC));
    if (unusable.get() == fd) {
      static_cast<void>(unusable.Release());
    } else if (unusable.valid()) {
      ::dup3(unusable.get(), fd, O_CLOEXEC);
    }
  }
}

std::uint32_t ProcessId() { return static_cast<std::uint32_t>(::getpid()); }

std::string Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody here sets any
  return value == nullptr ? "" : value;
}

}  // namespace daxfs::os
