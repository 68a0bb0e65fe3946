// SPDX-License-Identifier: Apache-2.0
#include "common/os/testing/mounts.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

namespace daxfs::os::testing {
namespace {

std::string TakeMounts() {
  if (::geteuid() != 0) return "mounting needs root";
  if (::access("/dev/fuse", R_OK | W_OK) != 0) return "there is no /dev/fuse";
  if (::unshare(CLONE_NEWNS) != 0) return "no mount namespace of our own";
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "no private mounts";
  return "";
}

}  // namespace

std::string WhyNoMounts() {
  static const std::string kWhyNot = TakeMounts();  // once: later calls would nest
  return kWhyNot;
}

std::string MountLine(const std::string& path) {
  std::ifstream mounts("/proc/self/mounts");
  std::string last;
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" " + path + " ") != std::string::npos) last = line;
  }
  return last;
}

bool WaitUntil(const std::function<bool()>& condition) {
  for (int i = 0; i < 15000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

}  // namespace daxfs::os::testing
