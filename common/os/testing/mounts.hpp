// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

namespace daxfs::os::testing {

// Gives this process mounts of its own, which go with it, for tests that mount through FUSE. Says
// why it cannot, else "". Call it from the test's own thread.
std::string WhyNoMounts();

// What /proc/self/mounts says of the last mount on `path`, "" if there is none.
std::string MountLine(const std::string& path);

// Whether it becomes true while somebody may reasonably wait for it.
bool WaitUntil(const std::function<bool()>& condition);

}  // namespace daxfs::os::testing
