// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/status.hpp"
#include "tools/context.hpp"

namespace daxfs::tools {

struct KernelCommand {
  bool wanted = false;
  bool json = false;
  std::string root;  // what /sys, /proc and /dev are below; "" but in tests
};

// `daxfsctl kernel status`: what the module says of itself and its ranges in sysfs. Errors:
// kNotFound: it is not loaded.
Status ShowKernel(const KernelCommand& command, Context& context);

}  // namespace daxfs::tools
