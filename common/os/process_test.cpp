// SPDX-License-Identifier: Apache-2.0
#include "common/os/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/os/testing/scratch.hpp"

namespace daxfs::os {
namespace {

using testing::Scratch;

Result<ProgramEnd> Shell(const std::string& script) {
  return RunProgram({"/bin/sh", "-c", script});
}

TEST(RunProgramTest, HowItEndedAndWhatItSaid) {
  const std::vector<std::tuple<std::string, int, std::string>> table = {
      {"true", 0, ""},
      {"echo no >&2; echo hidden; exit 3", 3, "no"},
      {"printf 'one\\ntwo\\n\\n' >&2", 0, "one\ntwo"},
      {"kill -9 $$", 128 + SIGKILL, ""},
      {"cat; echo read >&2", 0, "read"},  // nothing to read, and no waiting for it
      {"head -c 200000 /dev/zero | tr '\\0' x >&2; exit 1", 1, std::string(65536, 'x')},
  };
  for (const auto& [script, status, said] : table) {
    const Result<ProgramEnd> end = Shell(script);
    ASSERT_TRUE(end.ok()) << end.status().ToString();
    EXPECT_EQ(end->exit_status, status) << script;
    EXPECT_EQ(end->said, said) << script;
  }
}

TEST(RunProgramTest, WhatItPrintedIsKeptOnRequest) {
  const std::vector<std::string> command = {"/bin/sh", "-c", "echo printed; echo said >&2"};
  EXPECT_EQ(RunProgram(command)->printed, "");
  const Result<ProgramEnd> end = RunProgram(command, Printed::kKept);
  ASSERT_TRUE(end.ok()) << end.status().ToString();
  EXPECT_EQ(end->printed, "printed\n");
  EXPECT_EQ(end->said, "said");
}

TEST(RunProgramTest, WhatIsNoProgram) {
  const Scratch scratch;
  testing::WriteFile(scratch.Path("text"), "#!/bin/sh\n");
  EXPECT_EQ(RunProgram({scratch.Path("none")}).status().error_number(), ENOENT);
  EXPECT_EQ(RunProgram({scratch.Path("text")}).status().error_number(), EACCES);
  EXPECT_FALSE(IsProgram(scratch.Path("none")));
  EXPECT_FALSE(IsProgram(scratch.Path("text")));
  EXPECT_FALSE(IsProgram(scratch.path()));
  EXPECT_TRUE(IsProgram("/bin/sh"));
}

TEST(RunProgramTest, NothingOfThisProcessIsHandedOn) {
  const UniqueFd kept(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC
  sigset_t blocked;
  sigset_t before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  const auto handler = std::signal(SIGPIPE, SIG_IGN);
  // The C library's own signals, the 32nd and 33rd, are none of ours.
  const Result<ProgramEnd> end = Shell(
      "for fd in $(seq 3 99); do [ -e /proc/$$/fd/$fd ] && echo open $fd >&2; done;"
      "while read -r name mask; do"
      "  case $name in Sig[BI]*) echo $name ${mask#?????????} >&2;; esac;"
      "done < /proc/$$/status;"
      "read -r stat < /proc/$$/stat; set -- $stat; [ $6 = $$ ] && echo own session >&2");
  std::signal(SIGPIPE, handler);
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
  ASSERT_TRUE(end.ok()) << end.status().ToString();
  EXPECT_EQ(end->said, "SigBlk: 0000000\nSigIgn: 0000000\nown session");
}

TEST(RunProgramTest, WhatItLeavesBehindIsNotWaitedFor) {
  const Scratch scratch;
  ASSERT_EQ(::mkfifo(scratch.Path("end").c_str(), 0600), 0);
  const Result<ProgramEnd> end =
      Shell("echo first >&2; (read -r word < " + scratch.Path("end") + "; echo late >&2) &");
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->said, "first");
  const UniqueFd fifo(::open(scratch.Path("end").c_str(), O_WRONLY));  // it still waits for this
  EXPECT_TRUE(fifo.valid());
}

int StatusOf(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(BackgroundTest, WhoFailsBeforeIsSeenAsIs) {
  for (const auto& [signal, status] : {std::pair(0, 5), std::pair(SIGKILL, 128 + SIGKILL)}) {
    const pid_t child = ::fork();
    if (child == 0) {
      const Result<Background> background = Background::Begin();
      if (background.ok() && signal != 0) ::raise(signal);
      ::_exit(background.ok() ? 5 : 6);
    }
    EXPECT_EQ(StatusOf(child), status);
  }
}

TEST(BackgroundTest, WhoSucceedsGoesOnAlone) {
  const Scratch scratch;
  std::array<int, 2> go{};
  std::array<int, 2> seen{};
  ASSERT_EQ(::pipe2(go.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(seen.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Result<Background> background = Background::Begin();
    if (!background.ok() || !background->Detach().ok()) ::_exit(1);
    std::array<char, 4096> where{};
    char word = 0;
    bool good = ::read(go[0], &word, 1) == 1;
    good = good && ::getsid(0) == ::getpid() && ::getcwd(where.data(), where.size()) != nullptr;
    for (const int stream : {0, 1, 2}) {
      std::array<char, 64> target{};
      const std::string link = "/proc/self/fd/" + std::to_string(stream);
      good = good && ::readlink(link.c_str(), target.data(), target.size()) > 0 &&
             std::string(target.data()) == "/dev/null";
    }
    word = good && std::string(where.data()) == "/" ? 'y' : 'n';
    ::_exit(::write(seen[1], &word, 1) == 1 ? 0 : 1);
  }
  EXPECT_EQ(StatusOf(child), 0);  // while the other one waits for `go`
  ASSERT_EQ(::write(go[1], "", 1), 1);
  char word = 0;
  ASSERT_EQ(::read(seen[0], &word, 1), 1);
  EXPECT_EQ(word, 'y');
  for (const int fd : {go[0], go[1], seen[0], seen[1]}) ::close(fd);
}

}  // namespace
}  // namespace daxfs::os
