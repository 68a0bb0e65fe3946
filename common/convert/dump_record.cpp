// SPDX-License-Identifier: Apache-2.0
#include "common/convert/dump_record.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "common/base/hex.hpp"
#include "common/format/dump_text.hpp"
#include "common/format/walk.hpp"
#include "daxfs/format.h"

namespace daxfs::convert {
namespace {

constexpr std::uint64_t kMost32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMostId = 0xfffffffe;  // the last one means "unchanged" to chown(2)

struct TypeRow {
  std::string_view word;
  std::uint32_t type;
};

constexpr std::array<TypeRow, 7> kTypes = {{{"directory", kTypeDirectory},
                                            {"file", kTypeFile},
                                            {"symlink", kTypeSymlink},
                                            {"character", kTypeCharacter},
                                            {"block", kTypeBlock},
                                            {"fifo", kTypeFifo},
                                            {"socket", kTypeSocket}}};

std::string Shown(std::string_view text) {
  std::string shown = "\"" + format::EscapeBytes(text.substr(0, 60));
  return shown + (text.size() > 60 ? "...\"" : "\"");
}

// The words of a line, one space between two.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}

  std::string_view Next() {
    const std::size_t space = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, space);
    at_end_ = space == rest_.size();
    rest_.remove_prefix(std::min(space + 1, rest_.size()));
    return word;
  }
  // The value of the next word, which has to be `key`=value.
  Result<std::string_view> Value(std::string_view key) {
    const std::string_view word = at_end_ ? "" : Next();
    if (!word.starts_with(key) || !word.substr(key.size()).starts_with('=')) {
      return InvalidArgumentError("wanted " + std::string(key) + "=, found " + Shown(word));
    }
    return word.substr(key.size() + 1);
  }
  // Whether the line goes on with this one last word.
  bool TakeFlag(std::string_view flag) {
    if (at_end_ || rest_ != flag) return false;
    rest_ = {};
    at_end_ = true;
    return true;
  }
  Status End() const {
    if (at_end_) return Status::Ok();
    return InvalidArgumentError("unknown words at the end of the line: " + Shown(rest_));
  }

 private:
  std::string_view rest_;
  bool at_end_ = false;
};

Result<std::uint64_t> NumberOf(Words& words, std::string_view key, std::uint64_t most) {
  ASSIGN_OR_RETURN(const std::string_view text, words.Value(key));
  return format::ParseDumpNumber(text, most).WithContext(key);
}

Status CheckComponents(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == ".." || name.size() > DAXFS_NAME_MAX ||
        name.find('\0') != std::string_view::npos) {
      return InvalidArgumentError(Shown(name) + " is no name: 1 to 255 bytes, not \".\" or \"..\"");
    }
    path.remove_prefix(slash);
  }
  return Status::Ok();
}

Result<std::string> ParsePath(std::string_view text) {
  if (!text.starts_with('/')) {
    return InvalidArgumentError(Shown(text) + " is no path: it begins with a slash");
  }
  ASSIGN_OR_RETURN(std::string path, format::UnescapeBytes(text));
  if (path.size() > format::kWalkPathMax) {
    return Status(StatusCode::kOutOfRange,
                  "a path of more than " + std::to_string(format::kWalkPathMax) + " bytes");
  }
  if (path.size() > 1) RETURN_IF_ERROR(CheckComponents(path));
  return path;
}

Result<std::uint32_t> ParseMode(std::string_view text) {
  std::uint32_t mode = 0;
  bool good = text.size() == 4;
  for (const char c : text) {
    good = good && c >= '0' && c <= '7';
    mode = mode * 8 + static_cast<std::uint32_t>(c - '0');
    if (!good) return InvalidArgumentError("mode " + Shown(text) + ": four octal digits");
  }
  if (!good) return InvalidArgumentError("mode " + Shown(text) + ": four octal digits");
  return mode;
}

Status ParseDevice(Words& words, Attributes* attributes) {
  ASSIGN_OR_RETURN(const std::string_view text, words.Value("device"));
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view minor = text.substr(std::min(colon + 1, text.size()));
  ASSIGN_OR_RETURN(const std::uint64_t a, format::ParseDumpNumber(text.substr(0, colon), kMost32));
  ASSIGN_OR_RETURN(const std::uint64_t b, format::ParseDumpNumber(minor, kMost32));
  attributes->rdev_major = static_cast<std::uint32_t>(a);
  attributes->rdev_minor = static_cast<std::uint32_t>(b);
  return Status::Ok();
}

Status ParseFile(Words& words, DumpRecord* record) {
  ASSIGN_OR_RETURN(record->node.size_bytes, NumberOf(words, "size", DAXFS_SIZE_MAX));
  ASSIGN_OR_RETURN(const std::string_view hex, words.Value("sha256"));
  RETURN_IF_ERROR(base::FromHex(hex, record->content.bytes).WithContext("sha256"));
  words.TakeFlag("huge");  // it follows from the size and the option
  return Status::Ok();
}

// What depends on the type.
Status ParseDetails(Words& words, DumpRecord* record) {
  switch (record->node.attributes.mode & kTypeMask) {
    case kTypeDirectory:
      record->node.implicit = words.TakeFlag("implicit");
      return Status::Ok();
    case kTypeFile:
      return ParseFile(words, record);
    case kTypeSymlink: {
      ASSIGN_OR_RETURN(const std::string_view text, words.Value("target"));
      ASSIGN_OR_RETURN(record->node.target, format::UnescapeBytes(text));
      return Status::Ok();
    }
    case kTypeCharacter:
    case kTypeBlock:
      return ParseDevice(words, &record->node.attributes);
    default:
      return Status::Ok();
  }
}

Status ParseInode(Words& words, std::uint32_t type, DumpRecord* record) {
  Attributes& attributes = record->node.attributes;
  ASSIGN_OR_RETURN(const std::string_view mode_text, words.Value("mode"));
  ASSIGN_OR_RETURN(const std::uint32_t mode, ParseMode(mode_text));
  attributes.mode = type | mode;
  ASSIGN_OR_RETURN(const std::uint64_t uid, NumberOf(words, "uid", kMostId));
  attributes.uid = static_cast<std::uint32_t>(uid);
  ASSIGN_OR_RETURN(const std::uint64_t gid, NumberOf(words, "gid", kMostId));
  attributes.gid = static_cast<std::uint32_t>(gid);
  ASSIGN_OR_RETURN(const std::string_view time_text, words.Value("mtime"));
  ASSIGN_OR_RETURN(const format::DumpTime time, format::ParseDumpTime(time_text));
  attributes.mtime_seconds = time.seconds;
  attributes.mtime_nanoseconds = time.nanoseconds;
  return ParseDetails(words, record);
}

}  // namespace

Result<DumpRecord> ParseDumpEntry(std::string_view line) {
  Words words(line);
  DumpRecord record;
  ASSIGN_OR_RETURN(record.path, ParsePath(words.Next()));
  const std::string_view word = words.Next();
  if (word == "hardlink") {
    record.hard_link = true;
    ASSIGN_OR_RETURN(const std::string_view target, words.Value("target"));
    ASSIGN_OR_RETURN(record.target, ParsePath(target));
    RETURN_IF_ERROR(words.End());
    return record;
  }
  const auto* const row = std::find_if(kTypes.begin(), kTypes.end(),
                                       [&](const TypeRow& type) { return type.word == word; });
  if (row == kTypes.end()) return InvalidArgumentError(Shown(word) + " is no type");
  RETURN_IF_ERROR(ParseInode(words, row->type, &record));
  RETURN_IF_ERROR(words.End());
  return record;
}

Result<std::pair<std::string, std::string>> ParseDumpXattr(std::string_view line) {
  constexpr std::string_view kStart = "  xattr ";
  if (!line.starts_with(kStart)) return InvalidArgumentError(Shown(line) + ": no xattr");
  line.remove_prefix(kStart.size());
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return InvalidArgumentError("xattr without a value");
  ASSIGN_OR_RETURN(std::string name, format::UnescapeBytes(line.substr(0, equals), "="));
  ASSIGN_OR_RETURN(std::string value, format::UnescapeBytes(line.substr(equals + 1)));
  return std::pair(std::move(name), std::move(value));
}

Status CheckDumpExtent(std::string_view line) {
  constexpr std::string_view kStart = "  extent ";
  if (!line.starts_with(kStart)) return InvalidArgumentError(Shown(line) + ": no extent");
  Words words(line.substr(kStart.size()));
  for (const char* key : {"logical", "offset", "length"}) {
    RETURN_IF_ERROR(NumberOf(words, key, DAXFS_SIZE_MAX).status());
  }
  return words.End();
}

}  // namespace daxfs::convert
