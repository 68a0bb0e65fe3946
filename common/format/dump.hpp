// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

#include "common/base/status.hpp"
#include "common/format/advance.hpp"
#include "common/format/image.hpp"

namespace daxfs::format {

// Takes text in parts. Errors end the work.
using TextSink = std::function<Status(std::string_view)>;

// The image as text (docs/dump.md): all it says, one line an inode, the same for the same image.
// `daxfs-build dump:` makes an image of it again. Memory: TreeWalk's. Errors: the image's; those of
// `out` and `advance`.
Status Dump(const Image& image, const TextSink& out, const Advance& advance = {});

}  // namespace daxfs::format
