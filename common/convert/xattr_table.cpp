// SPDX-License-Identifier: Apache-2.0
#include "common/convert/xattr_table.hpp"

#include <limits>

#include "daxfs/format.h"
#include "encode.h"

namespace daxfs::convert {
namespace {

constexpr std::size_t kNamesMax = 65536;  // what listxattr(2) can return
constexpr std::uint64_t kSeenMax = std::uint64_t{1} << 26U;
constexpr std::size_t kTotalMax = std::size_t{256} << 20U;

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
  seen_ += xattrs.size();
  if (seen_ > kSeenMax) {
    return ResourceExhaustedError("more than 2^26 extended attributes in one image");
  }
  const auto known = ids_.find(xattrs);
  if (known != ids_.end()) return known->second;
  std::size_t name_bytes = 0;
  std::size_t list_bytes = 0;
  for (const auto& [name, value] : xattrs) {
    RETURN_IF_ERROR(CheckXattr(name, value));
    name_bytes += name.size() + 1;
    list_bytes += daxfs_xattr_bytes(static_cast<std::uint32_t>(name.size()),
                                    static_cast<std::uint32_t>(value.size()));
  }
  if (name_bytes > kNamesMax || list_bytes > DAXFS_XATTR_LIST_MAX) {
    return InvalidArgumentError(
        "extended attributes of one inode: names above 64 KiB or all above 16 MiB");
  }
  total_bytes_ += list_bytes;
  if (total_bytes_ > kTotalMax) {
    return ResourceExhaustedError("different extended attributes above 256 MiB in one image");
  }
  DAXFS_CHECK(lists_.size() < std::numeric_limits<XattrId>::max());
  const auto id = static_cast<XattrId>(lists_.size());
  lists_.push_back(&ids_.emplace(xattrs, id).first->first);
  return id;
}

}  // namespace daxfs::convert
