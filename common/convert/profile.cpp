// SPDX-License-Identifier: Apache-2.0
#include "common/convert/profile.hpp"

#include <cstddef>
#include <limits>

namespace daxfs::convert {
namespace {

constexpr std::int64_t kNanosecondsMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kPerSecond = 1000000000;

// Whether the nanoseconds since 1970 are a positive 63-bit number.
bool InBounds(const Attributes& attributes) {
  const std::int64_t seconds = attributes.mtime_seconds;
  if (seconds < 0 || seconds > kNanosecondsMax / kPerSecond) return false;
  return seconds < kNanosecondsMax / kPerSecond ||
         attributes.mtime_nanoseconds <= kNanosecondsMax % kPerSecond;
}

}  // namespace

void ApplyProfile(Profile profile, Attributes* attributes) {
  if (profile == Profile::kArchive) return;
  if (!InBounds(*attributes)) {
    attributes->mtime_seconds = 0;
    attributes->mtime_nanoseconds = 0;
  }
  if ((attributes->mode & kTypeMask) == kTypeSymlink) attributes->mode = kTypeSymlink | 0777;
}

bool KeepsXattr(Profile profile, std::uint32_t mode, std::string_view name) {
  if (profile == Profile::kArchive) return true;
  if (name.starts_with("security.")) return true;
  const std::uint32_t type = mode & kTypeMask;
  if (name.starts_with("user.")) return type == kTypeFile || type == kTypeDirectory;
  return name.starts_with("system.posix_acl_") && type != kTypeSymlink;
}

bool IsCapability(std::string_view value) {
  // Little endian: version 2 or 3 in the uppermost byte, the flag "effective" in the lowest bit.
  constexpr std::size_t kSize2 = 20;
  constexpr std::size_t kSize3 = 24;
  if (value.size() != kSize2 && value.size() != kSize3) return false;
  const char version = value.size() == kSize2 ? 2 : 3;
  return (value[0] == 0 || value[0] == 1) && value[1] == 0 && value[2] == 0 && value[3] == version;
}

}  // namespace daxfs::convert
