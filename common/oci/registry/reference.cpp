// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/reference.hpp"

#include <algorithm>

namespace daxfs::oci {
namespace {

constexpr std::string_view kDefaultHost = "docker.io";
constexpr std::string_view kDefaultNamespace = "library/";
constexpr std::string_view kDefaultTag = "latest";
constexpr std::size_t kNameMax = 255;
constexpr std::size_t kTagMax = 128;

bool IsLower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsWord(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

// "." or "_" or "__" or any number of "-", between what is no separator.
bool IsSeparator(std::string_view text) {
  return text == "." || text == "_" || text == "__" ||
         text.find_first_not_of('-') == std::string_view::npos;
}

bool IsComponent(std::string_view text) {
  if (text.empty() || !IsLower(text.front()) || !IsLower(text.back())) return false;
  for (std::size_t at = 0; at < text.size();) {
    if (IsLower(text[at])) {
      ++at;
      continue;
    }
    const auto* const end = std::find_if(text.begin() + at, text.end(), IsLower);
    const auto length = static_cast<std::size_t>(end - text.begin()) - at;
    if (!IsSeparator(text.substr(at, length))) return false;
    at += length;
  }
  return true;
}

bool IsRepository(std::string_view text) {
  for (;;) {
    const std::size_t slash = text.find('/');
    if (!IsComponent(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

bool IsTag(std::string_view text) {
  return !text.empty() && text.size() <= kTagMax && IsWord(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsWord(c) || c == '.' || c == '-'; });
}

bool IsPort(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// A name, an IPv4 address or an IPv6 address in brackets; a port behind a colon.
bool IsHost(std::string_view text) {
  std::string_view name = text;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    name = text.substr(1, end - 1);
    if (name.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) return false;
    text.remove_prefix(end + 1);
    return text.empty() || (text.starts_with(':') && IsPort(text.substr(1)));
  }
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    name = text.substr(0, colon);
    if (!IsPort(text.substr(colon + 1))) return false;
  }
  const auto alnum = [](char c) { return IsWord(c) && c != '_'; };
  return !name.empty() && alnum(name.front()) && alnum(name.back()) &&
         name.find("..") == std::string_view::npos &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return alnum(c) || c == '.' || c == '-'; });
}

// Whether the part before the first slash is a host: as docker has it, nothing else looks like one.
bool LooksLikeHost(std::string_view text) {
  return text == "localhost" || text.find_first_of(".:[") != std::string_view::npos ||
         std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

Status Wrong(std::string_view text, std::string_view why) {
  return InvalidArgumentError("image \"" + std::string(text) + "\": " + std::string(why));
}

}  // namespace

Result<ImageReference> ImageReference::Parse(std::string_view text) {
  ImageReference out;
  std::string_view rest = text;
  const std::size_t at = rest.find('@');
  if (at != std::string_view::npos) {
    Result<Digest> digest = Digest::Parse(rest.substr(at + 1));
    if (!digest.ok()) return digest.status().WithContext("image \"" + std::string(text) + "\"");
    out.digest = *digest;
    rest = rest.substr(0, at);
  }
  const std::size_t slash = rest.find('/');
  const bool has_host = slash != std::string_view::npos && LooksLikeHost(rest.substr(0, slash));
  out.host = has_host ? rest.substr(0, slash) : kDefaultHost;
  if (has_host) rest.remove_prefix(slash + 1);
  if (!IsHost(out.host)) return Wrong(text, "\"" + out.host + "\" is no host[:port]");
  const std::size_t colon = rest.find(':');
  if (colon != std::string_view::npos) {
    out.tag = rest.substr(colon + 1);
    if (!IsTag(out.tag)) return Wrong(text, "\"" + out.tag + "\" is no tag");
    rest = rest.substr(0, colon);
  } else if (!out.digest) {
    out.tag = kDefaultTag;
  }
  const bool official = out.host == kDefaultHost && rest.find('/') == std::string_view::npos;
  out.repository = (official ? std::string(kDefaultNamespace) : "") + std::string(rest);
  if (!IsRepository(out.repository) || out.host.size() + 1 + out.repository.size() > kNameMax) {
    return Wrong(text, "\"" + std::string(rest) +
                           "\" is no repository (lower case letters, digits, and single . _ - "
                           "between them; parts separated by /)");
  }
  return out;
}

std::string ImageReference::ToString() const {
  return host + "/" + repository + (tag.empty() ? "" : ":" + tag) +
         (digest ? "@" + digest->ToString() : "");
}

}  // namespace daxfs::oci
