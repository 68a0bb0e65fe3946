// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.hpp"
#include "common/convert/tree.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::convert {

// What one line of a dump says (docs/dump.md).
struct DumpRecord {
  std::string path;        // "/" or "/a/b", bytes; every component a possible name
  bool hard_link = false;  // then only `target` means something
  Node node;               // attributes, size, implicit; target of a symbolic link
  oci::Digest content;     // files
  std::string target;      // hard links: path of the first name
};

// Syntax alone: one line without its newline. Errors of all: kInvalidArgument, kOutOfRange.
Result<DumpRecord> ParseDumpEntry(std::string_view line);
// "  xattr NAME=VALUE".
Result<std::pair<std::string, std::string>> ParseDumpXattr(std::string_view line);
// "  extent logical=N offset=N length=N"; the numbers are for people only.
Status CheckDumpExtent(std::string_view line);

}  // namespace daxfs::convert
