// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::oci {

// What tars say of extended attributes beyond SCHILY.xattr.*, the one spelling that containerd
// reads: records "LIBARCHIVE.xattr.NAME" (bsdtar: the name %-encoded, the value in base64),
// "RHT.security.selinux" and "SCHILY.acl.access", "SCHILY.acl.default" (GNU tar, star: ACLs as
// text).

// Whether a PAX record of this key is one of them.
bool IsExtraRecord(std::string_view key);

// The record as an extended attribute, name and value. Errors: kInvalidArgument for a damaged one;
// kUnimplemented for an ACL that names users or groups without their numbers, which mean nothing on
// another host.
Result<std::pair<std::string, std::string>> DecodeExtraRecord(std::string_view key,
                                                              std::string_view value);

// An ACL as text, "user::rwx,user:name:r-x:1000,..." (acl(5), "Long text form", with star's number
// at the end), as the value of system.posix_acl_* (linux/posix_acl_xattr.h). Errors: as above.
Result<std::string> AclFromText(std::string_view text);

}  // namespace daxfs::oci
