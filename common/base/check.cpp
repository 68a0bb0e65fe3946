// SPDX-License-Identifier: Apache-2.0
#include "common/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace daxfs::base {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace daxfs::base
