// SPDX-License-Identifier: Apache-2.0
#include "common/os/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <span>

#include "common/os/file_io.hpp"

namespace daxfs::os {
namespace {

constexpr std::size_t kSaidLimit = 65536;
constexpr std::size_t kPrintedLimit = 4 << 20;
constexpr const char* kNothing = "/dev/null";

// Waits for a child of ours.
Result<int> ExitStatusOf(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Status::FromErrno(errno, "waitpid");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// posix_spawn(3)'s two objects.
class SpawnOrders {
 public:
  SpawnOrders() {
    DAXFS_CHECK(::posix_spawn_file_actions_init(&actions_) == 0);
    DAXFS_CHECK(::posix_spawnattr_init(&attributes_) == 0);
  }
  ~SpawnOrders() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnOrders(const SpawnOrders&) = delete;
  SpawnOrders& operator=(const SpawnOrders&) = delete;

  // 0, or an errno. Requires: no descriptor has the number of a standard stream.
  int Prepare(int standard_input, int standard_output, int standard_error) {
    sigset_t all;
    sigset_t none;
    ::sigfillset(&all);
    ::sigemptyset(&none);
    constexpr int kFlags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    const std::array<int, 7> results = {
        ::posix_spawn_file_actions_adddup2(&actions_, standard_error, STDERR_FILENO),
        ::posix_spawn_file_actions_adddup2(&actions_, standard_output, STDOUT_FILENO),
        ::posix_spawn_file_actions_adddup2(&actions_, standard_input, STDIN_FILENO),
        ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1),
        ::posix_spawnattr_setsigdefault(&attributes_, &all),
        ::posix_spawnattr_setsigmask(&attributes_, &none),
        ::posix_spawnattr_setflags(&attributes_, kFlags)};
    for (const int result : results) {
      if (result != 0) return result;
    }
    return 0;
  }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// With a number no standard stream has, whichever of them this process lacks.
Result<UniqueFd> Aside(UniqueFd fd, const char* name) {
  if (!fd.valid()) return Status::FromErrno(errno, name);
  if (fd.get() > STDERR_FILENO) return fd;
  UniqueFd other(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!other.valid()) return Status::FromErrno(errno, name);
  return other;
}

// A file and no pipe: what stays behind may keep it, and may say more than anybody reads.
Result<UniqueFd> Memory(const char* name) {
  return Aside(UniqueFd(::memfd_create(name, MFD_CLOEXEC)), name);
}

Result<std::string> Content(const UniqueFd& memory, std::size_t limit) {
  struct stat info {};
  if (::fstat(memory.get(), &info) != 0) return Status::FromErrno(errno, "fstat");
  std::string content(std::min(static_cast<std::size_t>(info.st_size), limit), '\0');
  RETURN_IF_ERROR(PReadExact(memory.get(), 0, std::as_writable_bytes(std::span(content))));
  return content;
}

}  // namespace

Result<ProgramEnd> RunProgram(const std::vector<std::string>& command, Printed printed,
                              std::string_view input) {
  ASSIGN_OR_RETURN(const UniqueFd given, Memory("standard input"));
  RETURN_IF_ERROR(PWriteAll(given.get(), 0, std::as_bytes(std::span(input))));
  ASSIGN_OR_RETURN(const UniqueFd said, Memory("standard error"));
  const bool kept = printed == Printed::kKept;
  ASSIGN_OR_RETURN(const UniqueFd output,
                   kept ? Memory("standard output")
                        : Aside(UniqueFd(::open(kNothing, O_WRONLY | O_CLOEXEC)), kNothing));
  SpawnOrders orders;
  int error = orders.Prepare(given.get(), output.get(), said.get());
  std::vector<std::string> words = command;
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  if (error == 0) {
    error = ::posix_spawn(&child, arguments.front(), orders.actions(), orders.attributes(),
                          arguments.data(), environ);
  }
  if (error != 0) return Status::FromErrno(error, command.front());
  ProgramEnd end;
  ASSIGN_OR_RETURN(end.exit_status, ExitStatusOf(child));
  if (kept) {
    ASSIGN_OR_RETURN(end.printed, Content(output, kPrintedLimit));
  }
  ASSIGN_OR_RETURN(end.said, Content(said, kSaidLimit));
  while (end.said.ends_with('\n')) end.said.pop_back();
  return end;
}

bool IsProgram(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

Result<Background> Background::Begin() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Status::FromErrno(errno, "socketpair");
  }
  const UniqueFd here(ends[0]);
  UniqueFd there(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return Status::FromErrno(errno, "fork");
  if (child == 0) return Background(std::move(there));
  static_cast<void>(there.Close());
  std::array<std::byte, 1> word{};
  const Result<std::size_t> got = ReadSome(here.get(), word);
  // Not exit(3): all that this process had is the child's.
  if (got.ok() && *got == 1) ::_exit(0);
  const Result<int> status = ExitStatusOf(child);
  ::_exit(status.ok() ? *status : 1);
}

Status Background::Detach() {
  if (::setsid() < 0) return Status::FromErrno(errno, "setsid");
  if (::chdir("/") != 0) return Status::FromErrno(errno, "chdir");
  const UniqueFd nothing(::open(kNothing, O_RDWR | O_CLOEXEC));
  if (!nothing.valid()) return Status::FromErrno(errno, kNothing);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(nothing.get(), stream) < 0) return Status::FromErrno(errno, "dup2");
  }
  if (::send(waiting_.get(), "", 1, MSG_NOSIGNAL) != 1) return Status::FromErrno(errno, "send");
  return waiting_.Close();
}

}  // namespace daxfs::os
