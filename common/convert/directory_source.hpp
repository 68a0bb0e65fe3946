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

}  // namespace daxfs::convert
