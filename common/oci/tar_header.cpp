// SPDX-License-Identifier: Apache-2.0
#include "common/oci/tar_header.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include "common/oci/tar_extras.hpp"

namespace daxfs::oci {
namespace {

struct Field {
  std::size_t offset;
  std::size_t length;
};
constexpr Field kMode = {100, 8};
constexpr Field kUid = {108, 8};
constexpr Field kGid = {116, 8};
constexpr Field kSize = {124, 12};
constexpr Field kMtime = {136, 12};
constexpr std::size_t kTypeOffset = 156;
constexpr std::uint64_t kExtensionMax = std::uint64_t{4} << 20U;  // libarchive stops at 1 MiB
constexpr int kExtensionsMax = 64;
constexpr std::size_t kXattrsMax = 8192;  // listxattr(2) has room for fewer
constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";

std::string_view Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// An octal field: leading blanks, digits, then a blank or NUL.
Result<std::uint64_t> Octal(std::string_view field) {
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(field.data(), field.data() + field.size(), value, 8);
  const bool none = stop == field.data() && !field.empty() && field.front() != '\0';
  if (none || error == std::errc::result_out_of_range) {
    return InvalidArgumentError("tar header with a damaged number");
  }
  return value;
}

// An octal field, or a GNU one: base 256 in two's complement, marked by the uppermost bit.
Result<std::int64_t> Number(std::string_view block, const Field& field) {
  const std::string_view text = block.substr(field.offset, field.length);
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) {
    ASSIGN_OR_RETURN(const std::uint64_t value, Octal(text));
    return static_cast<std::int64_t>(value);
  }
  const bool negative = (first & 0x40U) != 0;
  std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
  for (const char c : text.substr(text.size() - 8)) {
    value = value << 8U | static_cast<unsigned char>(c);
  }
  if (text.size() == 8) value = negative ? value | 0x80ULL << 56U : value & ~(0x80ULL << 56U);
  return static_cast<std::int64_t>(value);
}

// One "<length> <key>=<value>\n"; moves `records` behind it.
Result<std::pair<std::string_view, std::string_view>> NextRecord(std::string_view* records) {
  const Status damaged = InvalidArgumentError("damaged PAX record");
  std::size_t length = 0;
  const char* end = records->data() + records->size();
  const auto [stop, error] = std::from_chars(records->data(), end, length);
  if (error != std::errc() || stop == end || *stop != ' ') return damaged;
  if (length > records->size() || length == 0) return damaged;
  const auto digits = static_cast<std::size_t>(stop - records->data()) + 1;
  if (length <= digits + 1 || (*records)[length - 1] != '\n') return damaged;
  const std::string_view record = records->substr(digits, length - digits - 1);
  records->remove_prefix(length);
  const std::size_t equals = record.find('=');
  if (equals == std::string_view::npos || equals == 0) return damaged;
  if (record.substr(0, equals).find('\0') != std::string_view::npos) return damaged;
  return std::pair(record.substr(0, equals), record.substr(equals + 1));
}

// "[-]seconds[.fraction]"; digits beyond nanoseconds are cut off, as Go's parsePAXTime does.
Result<TarTime> ParseTime(std::string_view text) {
  const Status damaged = InvalidArgumentError("damaged PAX time");
  const std::size_t dot = std::min(text.find('.'), text.size());
  TarTime time;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + dot, time.seconds);
  if (error != std::errc() || stop != text.data() + dot) return damaged;
  std::string fraction(text.substr(std::min(dot + 1, text.size())));
  if (fraction.find_first_not_of("0123456789") != std::string::npos) return damaged;
  fraction.resize(9, '0');
  std::from_chars(fraction.data(), fraction.data() + fraction.size(), time.nanoseconds);
  if (text.front() == '-' && time.nanoseconds > 0) {
    if (time.seconds == std::numeric_limits<std::int64_t>::min()) return damaged;
    time.seconds -= 1;
    time.nanoseconds = 1000000000 - time.nanoseconds;
  }
  return time;
}

void SetXattr(std::string_view name, std::string_view value, RawHeader* header) {
  const auto known = std::find_if(header->xattrs.begin(), header->xattrs.end(),
                                  [&](const auto& xattr) { return xattr.first == name; });
  if (known != header->xattrs.end()) {
    known->second = value;
  } else {
    header->xattrs.emplace_back(name, value);
  }
}

// Numbers libarchive would read as far as they go, and keys it takes that containerd ignores.
Status CheckRecord(std::string_view key, std::string_view value) {
  const bool number = key == "uid" || key == "gid" || key == "size" || key == "SCHILY.devmajor" ||
                      key == "SCHILY.devminor";
  const bool empty = key == "size" && value.empty();
  if (empty || (number && value.find_first_not_of("0123456789") != std::string_view::npos)) {
    return InvalidArgumentError("damaged PAX " + std::string(key));
  }
  if (key == "SCHILY.realsize") {
    return InvalidArgumentError("PAX " + std::string(key) + " is not supported");
  }
  return Status::Ok();
}

Status TakeRecord(std::string_view key, std::string_view value, RawHeader* header) {
  RETURN_IF_ERROR(CheckRecord(key, value));
  std::string* text = key == "path"              ? &header->path
                      : key == "linkpath"        ? &header->link_path
                      : key == "GNU.sparse.name" ? &header->sparse_name
                                                 : nullptr;
  if (text != nullptr) {
    if (value.find('\0') != std::string_view::npos) {
      return InvalidArgumentError("PAX " + std::string(key) + " with a NUL in it");
    }
    *text = value;
  } else if (key == "mtime") {
    header->mtime.reset();
    header->own_mtime = value.empty();
    if (value.empty()) return Status::Ok();
    ASSIGN_OR_RETURN(header->mtime, ParseTime(value));
  } else if (key == "uid") {
    header->own_uid = value.empty();
  } else if (key == "gid") {
    header->own_gid = value.empty();
  } else if (key.starts_with(kXattrPrefix)) {
    SetXattr(key.substr(kXattrPrefix.size()), value, header);
    if (header->xattrs.size() > kXattrsMax) {
      return InvalidArgumentError("more extended attributes than a file can list");
    }
  } else if (IsExtraRecord(key)) {
    header->extras.emplace_back(key, value);
    if (header->extras.size() > kXattrsMax) {
      return InvalidArgumentError("more extended attributes than a file can list");
    }
  } else if (key == "SCHILY.devmajor" || key == "SCHILY.devminor") {
    header->device_records = true;
  } else if (key == "size") {
    header->pax_size = value != "0";
  }
  return Status::Ok();
}

// Whether a global header says more than which commit or program made the archive.
Result<bool> SaysSomething(std::string_view records) {
  constexpr std::string_view kAttributes[] = {"path", "linkpath", "size",  "uid",
                                              "gid",  "uname",    "gname", "mtime"};
  while (!records.empty() && records.front() != '\0') {
    ASSIGN_OR_RETURN(const auto record, NextRecord(&records));
    const std::string_view key = record.first;
    const bool attribute =
        std::find(std::begin(kAttributes), std::end(kAttributes), key) != std::end(kAttributes);
    if (attribute || key.starts_with(kXattrPrefix) || IsExtraRecord(key)) return true;
  }
  return false;
}

Status TakeRecords(std::string_view records, RawHeader* header) {
  // A later extended header replaces an earlier one as a whole.
  header->path.clear();
  header->link_path.clear();
  header->mtime.reset();
  header->sparse_name.clear();
  header->xattrs.clear();
  header->extras.clear();
  header->pax_size = false;
  header->device_records = false;
  header->own_uid = header->own_gid = header->own_mtime = false;
  while (!records.empty() && records.front() != '\0') {
    ASSIGN_OR_RETURN(const auto record, NextRecord(&records));
    RETURN_IF_ERROR(TakeRecord(record.first, record.second, header));
  }
  return Status::Ok();
}

// From the entry's own block.
Status TakeFields(std::string_view block, bool extended, RawHeader* header) {
  ASSIGN_OR_RETURN(const std::int64_t mode, Number(block, kMode));
  header->permissions = static_cast<std::uint32_t>(mode) & 07777U;
  if (header->own_uid) {
    ASSIGN_OR_RETURN(header->uid, Number(block, kUid));
  }
  if (header->own_gid) {
    ASSIGN_OR_RETURN(header->gid, Number(block, kGid));
  }
  if (header->own_mtime) {
    ASSIGN_OR_RETURN(const std::int64_t seconds, Number(block, kMtime));
    header->mtime = TarTime{seconds, 0};
  }
  // Readers differ over whether bytes follow a hard link, and so over which entries there are.
  if (header->type != '1') return Status::Ok();
  ASSIGN_OR_RETURN(const std::int64_t size, Number(block, kSize));
  if ((extended && size > 0) || header->pax_size) {
    return InvalidArgumentError("hard link with a size");
  }
  return Status::Ok();
}

}  // namespace

Result<RawHeader> ReadRawHeader(const HeaderBytes& bytes) {
  RawHeader header;
  std::string gnu_name;
  std::string gnu_link;
  std::uint64_t at = 0;
  for (int extensions = 0; extensions <= kExtensionsMax; ++extensions) {
    const std::string_view block = Text(bytes(at, kTarBlock));
    if (block.size() != kTarBlock) break;
    header.type = block[kTypeOffset];
    if (std::string_view("xgLKV").find(header.type) == std::string_view::npos) {
      if (!gnu_name.empty()) header.path = std::move(gnu_name);
      if (!header.sparse_name.empty()) header.path = header.sparse_name;
      if (!gnu_link.empty()) header.link_path = std::move(gnu_link);
      RETURN_IF_ERROR(TakeFields(block, at > 0, &header));
      return header;
    }
    ASSIGN_OR_RETURN(const std::uint64_t size, Octal(block.substr(kSize.offset, kSize.length)));
    if (size > kExtensionMax) return InvalidArgumentError("tar extension header is too large");
    const std::string_view body = Text(bytes(at + kTarBlock, size));
    if (body.size() != size) break;
    if (header.type == 'x') RETURN_IF_ERROR(TakeRecords(body, &header));
    if (header.type == 'L') gnu_name = body.substr(0, body.find('\0'));
    if (header.type == 'K') gnu_link = body.substr(0, body.find('\0'));
    if (header.type == 'V') header.volume_label = true;
    if (header.type == 'g') {
      // A damaged one is ignored where global headers are.
      const Result<bool> says = SaysSomething(body);
      header.global = header.global || !says.ok() || *says;
    }
    at += kTarBlock + (size + kTarBlock - 1) / kTarBlock * kTarBlock;
  }
  return InvalidArgumentError("tar extension headers without an entry behind them");
}

}  // namespace daxfs::oci
