// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/status.hpp"
#include "common/convert/image_builder.hpp"

namespace daxfs::convert {

// Adds the directory at `path` with everything below it to an empty image. Entries are taken in the
// order of their names' bytes, so the result does not depend on how the directory was filled.
// Errors: by errno; kAborted if a file changes while it is read; what the builder refuses, with the
// path.
Status AddDirectory(ImageBuilder& image, const std::string& path, Monitor& monitor);

// The same for one entry of a directory: the image has nothing else, and a root directory without
// attributes of its own.
Status AddFile(ImageBuilder& image, const std::string& directory, const std::string& name,
               Monitor& monitor);

}  // namespace daxfs::convert
