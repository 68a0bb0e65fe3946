// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/status.hpp"
#include "common/format/image.hpp"

namespace daxfs::format {

inline constexpr std::size_t kWalkPathMax = 65536;  // bytes

// One name of an image.
struct WalkEntry {
  std::string path;  // "/" is the root; bytes
  Inode inode;
  bool hard_link = false;  // one more name of what came before as `first_path`
  std::string first_path;
};

// Goes through every name of an image: each directory before what is in it, the names of a
// directory ascending by their bytes, which is the order a directory is converted in. What a tree
// walk needs to end is checked on the way, whatever the bytes say: every name once, every directory
// under one name, as many names as links, no inode without a name. Memory: one bit an inode, the
// names of the directories that are open, a path for every inode with several names.
class TreeWalk {
 public:
  // Borrows `image`.
  explicit TreeWalk(const Image& image);

  // The next name, or false behind the last one. Errors: kDataLoss; kOutOfRange for paths of more
  // than kWalkPathMax bytes.
  Result<bool> Next(WalkEntry* entry);

 private:
  struct Level {
    Inode directory;
    std::size_t path_size;  // of path_, up to and without the slash
    std::vector<DirectoryEntry> entries;
    std::size_t next = 0;
  };
  struct Linked {
    std::string path;
    std::uint32_t names_left;
  };
  Status Enter(const Inode& directory);
  Status CountName(WalkEntry* entry);
  Status CheckAllSeen() const;

  const Image& image_;
  bool started_ = false;
  std::uint64_t entries_left_;
  std::uint64_t inodes_left_;
  std::string path_;
  std::vector<Level> levels_;
  std::vector<bool> seen_;  // inode number - 1
  std::unordered_map<std::uint64_t, Linked> linked_;
};

}  // namespace daxfs::format
