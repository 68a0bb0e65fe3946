// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.hpp"

namespace daxfs::convert {

// Extended attributes of one inode by whole name; values are bytes.
using XattrMap = std::map<std::string, std::string>;

// Names one list inside an XattrTable; 0 is the empty list.
using XattrId = std::uint32_t;
inline constexpr XattrId kNoXattrs = 0;

// Equal lists are kept once.
class XattrTable {
 public:
  XattrTable();

  // Errors: kInvalidArgument for a name or value the format cannot hold.
  Result<XattrId> Intern(const XattrMap& xattrs);
  const XattrMap& Get(XattrId id) const { return *lists_[id]; }

 private:
  std::map<XattrMap, XattrId> ids_;
  std::vector<const XattrMap*> lists_;  // into ids_
};

}  // namespace daxfs::convert
