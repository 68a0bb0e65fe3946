// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "common/base/status.hpp"
#include "common/pool/inspect.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {

// How long somebody's heart is watched, and how often it is looked at.
struct Watch {
  std::chrono::milliseconds length{2500};  // more than two heartbeats, which come once a second
  std::chrono::milliseconds step{100};
};

// Whether what `look` says changes while it is watched.
template <typename Look>
bool Changes(const Look& look, const Watch& watch = {}) {
  const auto before = look();
  for (std::chrono::milliseconds waited{0}; waited < watch.length; waited += watch.step) {
    std::this_thread::sleep_for(watch.step);
    if (look() != before) return true;
  }
  return false;
}

// States that a host, one of ListAllHosts, can no longer reach the memory: StateOff, or
// Participant::FencePartition; and attaches as `name`, behind that, as all slots may be that
// host's. Errors: kInvalidArgument for this host itself; kFailedPrecondition, nothing is changed,
// if its heart, or that of one of its processes or its kernel, beats while it is watched; theirs.
Status FenceTheStill(std::unique_ptr<Memory> memory, const HostIdentity& self,
                     const std::string& name, const HostView& host, const Watch& watch = {});

}  // namespace daxfs::pool
