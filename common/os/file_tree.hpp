// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/base/status.hpp"

namespace daxfs::os {

// Removes a directory with all that is in it, however deep; nothing there is no error. Symbolic
// links are not followed, and what is mounted anywhere below is not entered: then the rest is gone
// and the error says where. Errors: by errno.
Status RemoveTree(const std::string& path);

struct TreeUsage {
  std::uint64_t bytes = 0;   // of blocks, as du(1) counts them
  std::uint64_t inodes = 0;  // each once, however many names it has
};

// What a directory takes with all that is in it, itself too. Somebody may be changing it: what has
// gone meanwhile is not counted. `cancelled` is asked now and then. Errors: kCancelled; by errno.
Result<TreeUsage> MeasureTree(const std::string& path, const std::function<bool()>& cancelled);

// A new directory. Errors: by errno (kAlreadyExists).
Status MakeDirectory(const std::string& path, std::uint32_t mode);
// Removes an empty directory. Errors: by errno (ENOTEMPTY).
Status RemoveDirectory(const std::string& path);
// Errors: by errno.
Status ChangeOwner(const std::string& path, std::uint32_t uid, std::uint32_t gid);

}  // namespace daxfs::os
