// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/tree.hpp"
#include "common/convert/xattr_table.hpp"
#include "common/format/image.hpp"

namespace daxfs::convert {

// A directory of the layers below.
struct LowerDirectory {
  Attributes attributes;
  XattrMap xattrs;
};

// What a directory no entry of a layer names ("usr/lib") is in the layers below; nothing if they
// have none.
using FindLower = std::function<Result<std::optional<LowerDirectory>>(const std::string& path)>;

// Looks in `directories`, the uppermost layer first, as containerd does for the parents it has to
// make (pkg/archive/tar.go mkparent): the first that has something of that name decides, links are
// followed inside the layer, and what is no directory counts as none. Extended attributes without
// trusted.*.
FindLower FindInDirectories(std::vector<std::string> directories);

// The same in the layers' images, the uppermost first, which are borrowed.
FindLower FindInImages(std::vector<const format::Image*> images);

// What is known of the layers below one that is applied. An image made without it serves all
// chains.
struct Below {
  // There are none: what the layer deletes goes, and no mark of it stays for others to hide.
  bool nothing = false;
  // Asked for each directory that is made before an entry names it, if there is any.
  FindLower find = {};
};

}  // namespace daxfs::convert
