// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "common/base/status.hpp"
#include "common/pool/host.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {

// A long-lived process in a pool that may go and come back under it: made anew by somebody, wiped
// with its host's power, or this host stated to be off. Then it joins again. Thread safe.
class Membership {
 public:
  // `pool` as ResolvePool reads it; `name` is for people.
  Membership(std::string pool, std::string name,
             std::function<Result<HostIdentity>()> host = ThisHost)
      : pool_(std::move(pool)), name_(std::move(name)), host_(std::move(host)) {}

  // See Participant. Before it joins.
  void CollectWhenFull(WhenCollected collected) { collected_ = std::move(collected); }

  // Called each time it has joined. Before it joins.
  void WhenJoined(std::function<void(const Participant&)> joined) { joins_ = std::move(joined); }
  // Called when it takes no part any more and cannot join again, with why, once each time. Before
  // it joins.
  void WhenLost(std::function<void(const Status&)> lost) { lost_ = std::move(lost); }

  const std::string& pool() const { return pool_; }

  // What it takes part as now; joins if it does not. Whoever has a Use of it keeps it as long.
  // Errors: kUnavailable, with why it cannot.
  Result<std::shared_ptr<Participant>> Get();
  // How often it has joined, 0: never yet. Uses and holds of earlier times are gone.
  std::uint64_t Joined();

 private:
  Result<std::shared_ptr<Participant>> Join() const;

  const std::string pool_;
  const std::string name_;
  const std::function<Result<HostIdentity>()> host_;
  WhenCollected collected_;
  std::function<void(const Participant&)> joins_;
  std::function<void(const Status&)> lost_;
  std::mutex mutex_;
  bool told_ = true;  // that it takes no part
  std::shared_ptr<Participant> participant_;
  std::uint64_t joined_ = 0;
};

}  // namespace daxfs::pool
