// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/status.hpp"
#include "common/format/advance.hpp"
#include "common/format/image.hpp"

namespace daxfs::tools {

// One thing two images differ in. `path` is escaped as in a dump, or "image" for the whole.
struct Difference {
  std::string path;
  std::string_view field;  // "only-in-a", "only-in-b", or what has the values `a` and `b`
  std::string a;
  std::string b;
};

struct DiffOptions {
  bool layout = false;  // also options, root, sizes and where data lies
};

// Compares two images name by name in the order of a dump; contents by their bytes. Returns the
// number of differences. Errors: the images'; those of `report` and `advance`.
Result<std::uint64_t> DiffImages(const format::Image& a, const format::Image& b,
                                 const DiffOptions& options,
                                 const std::function<Status(const Difference&)>& report,
                                 const format::Advance& advance);

}  // namespace daxfs::tools
