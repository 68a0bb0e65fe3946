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
constexpr Field kName = {0, 100};
constexpr Field kLink = {157, 100};
constexpr Field kMagic = {257, 8};
constexpr Field kMajor = {329, 8};
constexpr Field kMinor = {337, 8};
constexpr Field kPrefix = {345, 155};
constexpr Field kGnuAtime = {345, 12};
constexpr Field kGnuCtime = {357, 12};
constexpr std::string_view kGnuMagic("ustar  \0", 8);
constexpr std::string_view kUstarMagic("ustar\0", 6);
constexpr std::size_t kTypeOffset = 156;
constexpr std::uint64_t kExtensionMax = std::uint64_t{4} << 20U;  // libarchive stops at 1 MiB
constexpr int kExtensionsMax = 64;
constexpr std::size_t kXattrsMax = 8192;       // listxattr(2) has room for fewer
constexpr std::string_view kNoPieces = "0\n";  // a map's first line
constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";

std::string_view Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// An octal field: blanks and NULs around the digits mean nothing, but one that begins with a NUL is
// 0 to some readers, and a number to others.
Result<std::uint64_t> Octal(std::string_view field) {
  const Status damaged = InvalidArgumentError("tar header with a damaged number");
  const bool starts_with_nul = field.front() == '\0';
  const std::string_view blanks(" \0", 2);
  const std::size_t first = field.find_first_not_of(blanks);
  if (first == std::string_view::npos) return std::uint64_t{0};
  field = field.substr(first, field.find_last_not_of(blanks) - first + 1);
  field = field.substr(0, field.find('\0'));
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(field.data(), field.data() + field.size(), value, 8);
  const bool whole = error == std::errc() && stop == field.data() + field.size();
  if (starts_with_nul || !whole) return damaged;
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
  if (key == "SCHILY.realsize" || key == "SUN.holesdata") {
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
    std::uint64_t size = 0;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (error != std::errc()) return InvalidArgumentError("PAX size that is too large");
    header->pax_size = size;
  }
  return Status::Ok();
}

// Whether a global header says more than which commit or program made the archive.
Result<bool> SaysSomething(std::string_view records) {
  constexpr std::string_view kAttributes[] = {"path", "linkpath", "size",  "uid",
                                              "gid",  "uname",    "gname", "mtime"};
  bool says = false;
  while (!records.empty()) {
    ASSIGN_OR_RETURN(const auto record, NextRecord(&records));
    const std::string_view key = record.first;
    const bool attribute =
        std::find(std::begin(kAttributes), std::end(kAttributes), key) != std::end(kAttributes);
    says = says || attribute || key.starts_with(kXattrPrefix) || IsExtraRecord(key);
  }
  return says;
}

// What the GNU.sparse.* records of one header say together.
struct SparseRecords {
  bool any = false;
  bool map = false;
  std::string_view major;
  std::string_view minor;

  // Format 1.0, whose map is the begin of the body.
  bool InBody() const { return major == "1" && minor == "0"; }
  void Take(std::string_view key, std::string_view value) {
    any = any || key.starts_with("GNU.sparse.");
    map = map || key == "GNU.sparse.offset" || (key == "GNU.sparse.map" && !value.empty());
    if (key == "GNU.sparse.major") major = value;
    if (key == "GNU.sparse.minor") minor = value;
  }
  // Whether Go takes them for a sparse file's too; where it does not, others still take a name and
  // a size from them.
  bool Known() const {
    if (InBody()) return true;
    const bool old = major == "0" && (minor == "0" || minor == "1");
    return map && (old || (major.empty() && minor.empty()));
  }
};

Status TakeRecords(std::string_view records, RawHeader* header) {
  // A later extended header replaces an earlier one as a whole.
  header->path.clear();
  header->link_path.clear();
  header->mtime.reset();
  header->sparse_name.clear();
  header->xattrs.clear();
  header->extras.clear();
  header->pax_size.reset();
  header->device_records = false;
  header->own_uid = header->own_gid = header->own_mtime = false;
  SparseRecords sparse;
  while (!records.empty()) {
    ASSIGN_OR_RETURN(const auto record, NextRecord(&records));
    sparse.Take(record.first, record.second);
    RETURN_IF_ERROR(TakeRecord(record.first, record.second, header));
  }
  if (sparse.any && !sparse.Known())
    return InvalidArgumentError("GNU.sparse records without a map");
  header->sparse = sparse.any;
  header->map_in_body = sparse.any && sparse.InBody();
  return Status::Ok();
}

std::string_view FieldText(std::string_view block, const Field& field) {
  const std::string_view text = block.substr(field.offset, field.length);
  return text.substr(0, text.find('\0'));
}

// Go's writer once put a prefix into GNU headers, where the times of access and change belong; its
// reader takes ASCII there that is no time for a prefix.
bool HasOddPrefix(std::string_view block) {
  if (block.substr(kMagic.offset, kMagic.length) != kGnuMagic) return false;
  const auto no_time = [&](const Field& field) {
    return block[field.offset] != '\0' && !Number(block, field).ok();
  };
  const std::string_view prefix = FieldText(block, kPrefix);
  const bool ascii = std::all_of(prefix.begin(), prefix.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  return (no_time(kGnuAtime) || no_time(kGnuCtime)) && !prefix.empty() && ascii;
}

// The name in the block itself.
std::string OwnName(std::string_view block) {
  const bool ustar = block.substr(kMagic.offset).starts_with(kUstarMagic);
  const std::string name(FieldText(block, kName));
  const std::string prefix(FieldText(block, kPrefix));
  return (ustar && !prefix.empty()) || HasOddPrefix(block) ? prefix + "/" + name : name;
}

// What GNU long names and links said.
struct GnuNames {
  std::string name;
  std::string link;
  bool has_name = false;
  bool has_link = false;
};

Status TakeExtension(char type, std::string_view body, GnuNames* gnu, RawHeader* header) {
  if (type == 'x') return TakeRecords(body, header);
  if (type == 'V') header->volume_label = true;
  if (type == 'L') {
    gnu->name = body.substr(0, body.find('\0'));
    gnu->has_name = true;
  }
  if (type == 'K') {
    gnu->link = body.substr(0, body.find('\0'));
    gnu->has_link = true;
  }
  return Status::Ok();
}

// Numbers of which libarchive and Go think differently when they are damaged.
Status CheckNumbers(std::string_view block) {
  for (const Field& field : {kUid, kGid, kSize, kMtime}) {
    RETURN_IF_ERROR(Number(block, field).status());
  }
  const char type = block[kTypeOffset];
  if (type != '3' && type != '4') return Status::Ok();
  RETURN_IF_ERROR(Number(block, kMajor).status());
  return Number(block, kMinor).status();
}

// From the entry's own block.
Status TakeFields(std::string_view block, bool extended, RawHeader* header) {
  RETURN_IF_ERROR(CheckNumbers(block));
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
  // Readers differ over whether bytes follow what is no file, and so over which entries there are.
  const bool file = std::string_view(
                        "0\0"
                        "7S",
                        4)
                        .find(header->type) != std::string_view::npos;
  if (!file && header->pax_size.value_or(0) > 0) {
    return InvalidArgumentError("PAX size of something that is no file");
  }
  ASSIGN_OR_RETURN(const std::int64_t size, Number(block, kSize));
  header->body_bytes = header->pax_size.value_or(std::max<std::int64_t>(size, 0));
  header->sparse = file && (header->sparse || header->type == 'S');
  if (header->type != '1') return Status::Ok();
  if (extended && size > 0) return InvalidArgumentError("hard link with a size");
  return Status::Ok();
}

// The names of the entry behind `header`'s extensions, GNU's over PAX records over its own block.
void TakeNames(std::string_view block, const GnuNames& gnu, RawHeader* header) {
  if (!gnu.name.empty()) header->path = gnu.name;
  if (!header->sparse_name.empty()) header->path = header->sparse_name;
  if (!gnu.link.empty()) header->link_path = gnu.link;
  // libarchive takes an empty long name for a name, and no prefix out of a GNU header.
  if (header->path.empty() && (gnu.has_name || HasOddPrefix(block))) {
    header->path = OwnName(block);
  }
  if (header->link_path.empty() && gnu.has_link) header->link_path = FieldText(block, kLink);
}

}  // namespace

Result<RawHeader> ReadRawHeader(const HeaderBytes& bytes) {
  RawHeader header;
  GnuNames gnu;
  bool extended = false;
  std::uint64_t at = 0;
  for (int extensions = 0; extensions <= kExtensionsMax; ++extensions) {
    const std::string_view block = Text(bytes(at, kTarBlock));
    if (block.size() != kTarBlock) break;
    header.type = block[kTypeOffset];
    if (std::string_view("xgLKV").find(header.type) == std::string_view::npos) {
      TakeNames(block, gnu, &header);
      RETURN_IF_ERROR(TakeFields(block, at > 0, &header));
      header.header_bytes = at + kTarBlock;
      header.no_pieces =
          header.map_in_body && Text(bytes(header.header_bytes, kNoPieces.size())) == kNoPieces;
      return header;
    }
    ASSIGN_OR_RETURN(const std::uint64_t size, Octal(block.substr(kSize.offset, kSize.length)));
    if (size > kExtensionMax) return InvalidArgumentError("tar extension header is too large");
    const std::string_view body = Text(bytes(at + kTarBlock, size));
    if (body.size() != size) break;
    if (header.type == 'g') {
      // Go forgets what came before it, others do not.
      if (extended) {
        return InvalidArgumentError("global PAX header between an entry and its own headers");
      }
      ASSIGN_OR_RETURN(const bool says, SaysSomething(body));
      header.global = header.global || says;
    } else {
      RETURN_IF_ERROR(TakeExtension(header.type, body, &gnu, &header));
      extended = true;
    }
    at += kTarBlock + (size + kTarBlock - 1) / kTarBlock * kTarBlock;
  }
  return InvalidArgumentError("tar extension headers without an entry behind them");
}

}  // namespace daxfs::oci
