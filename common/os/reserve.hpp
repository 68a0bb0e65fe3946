// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

namespace daxfs::os {

// Room on a disk for what has to work when it is full: a file that is good for nothing but to be
// removed then. Thread safe.
class Reserve {
 public:
  Reserve(std::string path, std::uint64_t size_bytes)
      : path_(std::move(path)), size_bytes_(size_bytes) {}

  // Takes the room unless it is taken. Where there is none, nothing happens.
  void Keep();
  // Gives it back to the disk. Whether there was any.
  bool Release();

 private:
  const std::string path_;
  const std::uint64_t size_bytes_;
  std::mutex mutex_;
  bool kept_ = false;  // under mutex_
};

}  // namespace daxfs::os
