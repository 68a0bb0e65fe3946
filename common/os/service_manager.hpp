// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/status.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::os {

// What a daemon and systemd, if that started it, say to each other (sd_listen_fds(3),
// sd_notify(3)). Without systemd nothing happens.

// The listening socket this process was started with; not valid if there is none. Once. Errors:
// kInvalidArgument for several, or one of another type.
Result<UniqueFd> InheritedSocket();

void NotifyReady(const std::string& status_text);
void NotifyReloading();
void NotifyStopping();

}  // namespace daxfs::os
