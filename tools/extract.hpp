// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/status.hpp"
#include "common/format/image.hpp"
#include "tools/context.hpp"

namespace daxfs::tools {

// Makes the directory `path` of an image, every attribute and hole included. `path` must not exist
// or be an empty directory; it appears whole or not at all. Errors: kAlreadyExists; what the
// filesystem cannot hold or we may not set, with the path and the call; the image's; the watcher's.
Status ExtractToDirectory(const format::Image& image, const std::string& path, Context& context);

// Writes the image as a PAX archive. Holes become GNU sparse files 1.0, directories nobody named
// are left out if they hold anything. Before the first byte is written: kInvalidArgument for
// sockets unless `skip_sockets`, and for names and times that cannot be written. Errors: also the
// image's, those of `out` and the watcher's.
Status ExtractToTar(const format::Image& image, bool skip_sockets, const Output& out,
                    Context& context);

// A file's bytes, holes as zeros. Errors: the image's, those of `out`.
Status CopyFile(const format::Image& image, const format::Inode& inode, const Output& out);

}  // namespace daxfs::tools
