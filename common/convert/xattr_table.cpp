// SPDX-License-Identifier: Apache-2.0
#include "common/convert/xattr_table.hpp"

#include <limits>

#include "daxfs/format.h"

namespace daxfs::convert {
namespace {

Status CheckXattr(const std::string& name, const std::string& value) {
  if (name.empty() || name.size() > DAXFS_XATTR_NAME_MAX) {
    return InvalidArgumentError("extended attribute name of " + std::to_string(name.size()) +
                                " bytes: 1 to 255 are possible");
  }
  if (name.find('\0') != std::string::npos) {
    return InvalidArgumentError("extended attribute with a NUL in its name");
  }
  if (value.size() > DAXFS_XATTR_VALUE_MAX) {
    return InvalidArgumentError("extended attribute " + name + " of " +
                                std::to_string(value.size()) + " bytes: 65536 are possible");
  }
  return Status::Ok();
}

}  // namespace

XattrTable::XattrTable() { lists_.push_back(&ids_.emplace(XattrMap(), kNoXattrs).first->first); }

Result<XattrId> XattrTable::Intern(const XattrMap& xattrs) {
  if (xattrs.empty()) return kNoXattrs;
  const auto known = ids_.find(xattrs);
  if (known != ids_.end()) return known->second;
  for (const auto& [name, value] : xattrs) RETURN_IF_ERROR(CheckXattr(name, value));
  DAXFS_CHECK(lists_.size() < std::numeric_limits<XattrId>::max());
  const auto id = static_cast<XattrId>(lists_.size());
  lists_.push_back(&ids_.emplace(xattrs, id).first->first);
  return id;
}

}  // namespace daxfs::convert
