// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::oci {

inline constexpr std::size_t kTarBlock = 512;

// A moment: nanoseconds 0 to 999999999 after the second, also before 1970.
struct TarTime {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};

// What the raw header blocks of one entry say beyond libarchive's reading of them.
struct RawHeader {
  char type = '\0';                       // typeflag of the entry itself
  std::uint32_t permissions = 0;          // of its mode; libarchive changes them by an ACL
  bool volume_label = false;              // a GNU volume label ('V') stood before it
  bool global = false;                    // so did a global header that says something of entries
  std::string path;                       // of the headers before it, GNU 'L' over PAX; empty: none
  std::string sparse_name;                // PAX record GNU.sparse.name; path has it already
  std::optional<TarTime> mtime;           // PAX record
  std::string link_path;                  // the same, GNU 'K' over PAX
  bool device_records = false;            // PAX records SCHILY.devmajor, SCHILY.devminor
  std::optional<std::uint64_t> pax_size;  // PAX record
  bool sparse = false;                    // GNU.sparse records, or an old GNU sparse file
  bool map_in_body = false;               // a sparse file's
  bool no_pieces = false;                 // in that map
  std::uint64_t header_bytes = 0;         // all of its headers
  std::uint64_t body_bytes = 0;  // of a file: a sparse one's data, and its map if that stands there
  // A PAX record without a value leaves it to the header's own field, which libarchive passes over.
  bool own_uid = false;
  bool own_gid = false;
  bool own_mtime = false;
  std::optional<std::int64_t> uid;
  std::optional<std::int64_t> gid;
  std::vector<std::pair<std::string, std::string>> xattrs;  // SCHILY.xattr.*, last of a name wins
  std::vector<std::pair<std::string, std::string>> extras;  // records of IsExtraRecord, as they are
};

// Bytes [offset, offset + length) of the stream, relative to the entry's first header block; empty
// if they are not there.
using HeaderBytes =
    std::function<std::span<const std::byte>(std::uint64_t offset, std::size_t length)>;

// Walks from the entry's first header block to its last (pax(1), "pax Extended Header"; GNU tar
// manual). Errors: kInvalidArgument for damaged records or extensions nobody can apply.
Result<RawHeader> ReadRawHeader(const HeaderBytes& bytes);

}  // namespace daxfs::oci
