// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// A file, pipe or device to read; a pipe nobody writes to yet is no reason to wait. Errors: by
// errno; kInvalidArgument for a directory.
Result<UniqueFd> OpenForReading(const std::string& path);

// Whether both names are of one existing file.
bool IsSameFile(const std::string& a, const std::string& b);

// $TMPDIR, or else /var/tmp: for what may be large.
std::string TemporaryDirectory();
// A temporary file without a name, in TemporaryDirectory; it is gone when it is closed.
// Errors: by errno.
Result<UniqueFd> OpenUnnamed();

// Whether a read would not wait; waits up to `timeout_ms` for that. Errors: by errno.
Result<bool> WaitReadable(int fd, int timeout_ms);

// One read(2) retried over EINTR: the bytes read, 0 at the end of the file. Errors: by errno.
Result<std::size_t> ReadSome(int fd, std::span<std::byte> out);

// Fills `out` as far as the file goes: fewer bytes only at its end. Errors: by errno.
Result<std::size_t> ReadFull(int fd, std::span<std::byte> out);

// Moves from `position` on to the next byte that may be none of a hole, and says where that is;
// to the end, and nothing, if only a hole is left. Where a filesystem does not know its
// holes all is data. Errors: by errno.
Result<std::optional<std::uint64_t>> SeekData(int fd, std::uint64_t position);

// Fills `out` from `offset` bytes. Errors: by errno; kDataLoss if the file ends before.
Status PReadExact(int fd, std::uint64_t offset, std::span<std::byte> out);

// Writes all of `data` at `offset` bytes. Errors: by errno (kResourceExhausted for a full disk).
Status PWriteAll(int fd, std::uint64_t offset, std::span<const std::byte> data);

// Makes the file so long; what is new reads as zeros. Errors: by errno.
Status Truncate(int fd, std::uint64_t size_bytes);

// The whole file as text. Errors: by errno; kOutOfRange above `limit_bytes`.
Result<std::string> ReadWholeFile(int fd, std::size_t limit_bytes);

// Whether `fd` is a terminal.
bool IsTerminal(int fd);
// How much of text it shows; one that does not say so has the usual.
struct TerminalSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};
// Nothing if `fd` is no terminal.
std::optional<TerminalSize> SizeOfTerminal(int fd);
// Whether colours are wanted there: a terminal that is not "dumb", and no $NO_COLOR.
bool ShowsColor(int fd);

}  // namespace daxfs::os
