// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "common/convert/image_builder.hpp"
#include "common/convert/tree.hpp"

namespace daxfs::convert {

// Changes what the profile changes: kLayer has no time outside 1970-01-01 to 2262 (containerd's
// boundTime sets it to 0) and ignores the permissions of symbolic links.
void ApplyProfile(Profile profile, Attributes* attributes);

// Whether a file of `mode` keeps the extended attribute `name`. kLayer drops trusted.*, namespaces
// the kernel does not have, user.* on what is neither file nor directory, ACLs of symbolic links.
bool KeepsXattr(Profile profile, std::uint32_t mode, std::string_view name);

// Whether the kernel takes that for the extended attribute security.capability (cap_convert_nscap).
bool IsCapability(std::string_view value);

}  // namespace daxfs::convert
