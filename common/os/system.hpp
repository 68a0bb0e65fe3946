// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/base/status.hpp"

namespace daxfs::os {

// Fills `out` from the kernel's random numbers. Errors: by errno.
Status RandomBytes(std::span<std::byte> out);

// Seconds since 1970 by this host's clock.
std::uint64_t WallClockSeconds();

// The name of this host, for people.
std::string HostName();

// A text that changes with every boot (/proc/sys/kernel/random/boot_id). Errors: by errno.
Result<std::string> BootId();

// The first line of a small file, without spaces around it. Errors: by errno.
Result<std::string> ReadLine(const std::string& path);

// The directory and those above it, as mkdir -p; what is there stays. Errors: by errno.
Status MakeDirectories(const std::string& path);

// What is closed of standard input, output and error stays of no use, but no file that is opened
// later takes its number and is read or written in its place. For the first line of a program.
void OccupyStandardFiles();

// This process's number.
std::uint32_t ProcessId();

// The variable of the environment, "" if it is not set.
std::string Environment(const char* name);

}  // namespace daxfs::os
