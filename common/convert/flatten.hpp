// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/base/status.hpp"
#include "common/convert/tree.hpp"
#include "common/convert/xattr_table.hpp"

namespace daxfs::convert {

// Lays `layer` over `base` as OverlayFS shows an upper directory over a lower one, and changes
// `base` to the result: whiteouts remove, opaque directories hide, a directory over a directory
// merges with the upper one's attributes, everything else replaces. An implicit directory keeps the
// attributes the lower one has, as containerd's mkparent copies them; the root keeps its own. No
// whiteout and no trusted.overlay.opaque is left. Nodes move over with their data; `layer` must not
// be used afterwards. Errors: the tree's.
Status MergeLayer(Tree& base, const Tree& layer, XattrTable& xattrs);

}  // namespace daxfs::convert
