// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

namespace daxfs::os {

// Room on a disk for what has to work when it is full: a file that is good for nothing but to get
// shorter then, by a part each time, since whoever fills the disk takes what is left over. Thread
// safe.
class Reserve {
 public:
  Reserve(std::string path, std::uint64_t part_bytes, int parts)
      : path_(std::move(path)), part_bytes_(part_bytes), parts_(parts) {}

  // Takes what is missing of all parts, as far as there is room.
  void Keep();
  // Gives a part back to the disk. Whether there was one.
  bool Release();

 private:
  const std::string path_;
  const std::uint64_t part_bytes_;
  const int parts_;
  std::mutex mutex_;
  bool kept_ = false;  // all of them; under mutex_
};

}  // namespace daxfs::os
