// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/status.hpp"

namespace daxfs::os {

// What an unfinished output is called beside the finished one. Whoever makes it holds a lock on it
// (flock), so that the next one knows what a killed process left.
std::string PartPrefix(const std::string& output);

// Takes the maker's lock on a file or directory. Errors: by errno (EWOULDBLOCK: somebody has it).
Status LockPart(int fd);

// Removes files and directories called PartPrefix(output) and more that nobody has locked. What
// cannot be removed stays.
void RemoveStaleParts(const std::string& output);

}  // namespace daxfs::os
