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

  // Errors: kInvalidArgument for a name, value or list the format cannot hold; kResourceExhausted
  // when all lists ever interned pass 256 MiB, or all attributes handed in 2^26.
  Result<XattrId> Intern(const XattrMap& xattrs);
  const XattrMap& Get(XattrId id) const { return *lists_[id]; }

 private:
  std::uint64_t seen_ = 0;  // attributes ever handed in
  std::size_t total_bytes_ = 0;
  std::map<XattrMap, XattrId> ids_;
  std::vector<const XattrMap*> lists_;  // into ids_
};

}  // namespace daxfs::convert
