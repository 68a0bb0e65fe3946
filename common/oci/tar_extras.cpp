// SPDX-License-Identifier: Apache-2.0
#include "common/oci/tar_extras.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

namespace daxfs::oci {
namespace {

constexpr std::string_view kLibarchive = "LIBARCHIVE.xattr.";
constexpr std::string_view kSelinux = "RHT.security.selinux";
constexpr std::string_view kAclAccess = "SCHILY.acl.access";
constexpr std::string_view kAclDefault = "SCHILY.acl.default";

// linux/posix_acl.h
enum AclTag : std::uint16_t {
  kUserObj = 0x01,
  kUser = 0x02,
  kGroupObj = 0x04,
  kGroup = 0x08,
  kMask = 0x10,
  kOther = 0x20,
};
constexpr std::uint32_t kNoId = 0xffffffff;
constexpr std::uint32_t kAclVersion = 2;

struct AclEntry {
  std::uint16_t tag = 0;
  std::uint16_t permissions = 0;
  std::uint32_t id = kNoId;
};

Result<std::string> DecodePercent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    const char* digits = text.data() + i + 1;
    const bool whole = text.size() - i > 2;
    if (!whole || std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2) {
      return InvalidArgumentError("damaged name in a LIBARCHIVE.xattr record");
    }
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

// Base64 with or without its padding.
Result<std::string> DecodeBase64(std::string_view text) {
  std::string in(text.substr(0, std::min(text.find('='), text.size())));
  const std::size_t missing = (4 - in.size() % 4) % 4;
  in.append(missing, 'A');
  std::string out(in.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(in.data()),
                                static_cast<int>(in.size()));
  if (missing == 3 || n < 0) {
    return InvalidArgumentError("damaged value in a LIBARCHIVE.xattr record");
  }
  out.resize(static_cast<std::size_t>(n) - missing);
  return out;
}

// Takes the next field up to `separator` away from the front.
std::string_view NextField(std::string_view* text, char separator) {
  const std::size_t end = std::min(text->find(separator), text->size());
  const std::string_view field = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return field;
}

std::optional<std::uint32_t> Number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || stop != text.data() + text.size()) return {};
  return value == kNoId ? std::nullopt : std::optional(value);
}

Result<std::uint16_t> Permissions(std::string_view text) {
  constexpr std::string_view kLetters = "rwx";
  constexpr std::array<std::uint16_t, 3> kBits = {4, 2, 1};
  unsigned out = 0;
  if (text.size() < kLetters.size()) return InvalidArgumentError("damaged ACL permissions");
  for (std::size_t i = 0; i < kLetters.size(); ++i) {
    if (text[i] == kLetters[i])
      out |= kBits.at(i);
    else if (text[i] != '-')
      return InvalidArgumentError("damaged ACL permissions");
  }
  return static_cast<std::uint16_t>(out);
}

Result<std::uint16_t> TagOf(std::string_view kind, bool named) {
  if (kind == "user" || kind == "u") return named ? kUser : kUserObj;
  if (kind == "group" || kind == "g") return named ? kGroup : kGroupObj;
  if (!named && (kind == "mask" || kind == "m")) return kMask;
  if (!named && (kind == "other" || kind == "o")) return kOther;
  return InvalidArgumentError("damaged ACL entry");
}

Result<AclEntry> ParseAclEntry(std::string_view text) {
  const std::string whole(text);
  const std::string_view kind = NextField(&text, ':');
  // "mask:r-x" and "other:r-x" may leave their empty name out.
  const bool short_form = text.find(':') == std::string_view::npos;
  const std::string_view name = short_form ? std::string_view() : NextField(&text, ':');
  AclEntry entry;
  ASSIGN_OR_RETURN(entry.tag, TagOf(kind, !name.empty()).WithContext(whole));
  ASSIGN_OR_RETURN(entry.permissions, Permissions(NextField(&text, ':')).WithContext(whole));
  if (name.empty()) return entry;
  const std::optional<std::uint32_t> id = Number(text.empty() ? name : text);
  if (!id.has_value()) {
    return UnimplementedError("ACL entry \"" + whole +
                              "\" has no number: archive with numeric ids");
  }
  entry.id = *id;
  return entry;
}

void Put(std::string* out, std::uint32_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) *out += static_cast<char>(value >> (8U * i));
}

}  // namespace

bool IsExtraRecord(std::string_view key) {
  return key.starts_with(kLibarchive) || key == kSelinux || key == kAclAccess || key == kAclDefault;
}

Result<std::string> AclFromText(std::string_view text) {
  std::vector<AclEntry> entries;
  while (!text.empty()) {
    std::string_view line = NextField(&text, '\n');
    while (!line.empty()) {
      std::string_view entry = NextField(&line, ',');
      entry = entry.substr(0, entry.find('#'));
      while (entry.starts_with(' ')) entry.remove_prefix(1);
      if (entry.empty()) continue;
      ASSIGN_OR_RETURN(entries.emplace_back(), ParseAclEntry(entry));
    }
  }
  // The order the kernel wants (posix_acl_valid).
  std::stable_sort(entries.begin(), entries.end(), [](const AclEntry& a, const AclEntry& b) {
    return std::pair(a.tag, a.id) < std::pair(b.tag, b.id);
  });
  std::string out;
  Put(&out, kAclVersion, 4);
  for (const AclEntry& entry : entries) {
    Put(&out, entry.tag, 2);
    Put(&out, entry.permissions, 2);
    Put(&out, entry.id, 4);
  }
  return out;
}

Result<std::pair<std::string, std::string>> DecodeExtraRecord(std::string_view key,
                                                              std::string_view value) {
  std::pair<std::string, std::string> xattr;
  if (key.starts_with(kLibarchive)) {
    ASSIGN_OR_RETURN(xattr.first, DecodePercent(key.substr(kLibarchive.size())));
    ASSIGN_OR_RETURN(xattr.second, DecodeBase64(value));
  } else if (key == kSelinux) {
    xattr = {"security.selinux", std::string(value)};
  } else {
    xattr.first = key == kAclAccess ? "system.posix_acl_access" : "system.posix_acl_default";
    ASSIGN_OR_RETURN(xattr.second, AclFromText(value));
  }
  return xattr;
}

}  // namespace daxfs::oci
