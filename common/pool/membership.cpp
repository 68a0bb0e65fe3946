// SPDX-License-Identifier: Apache-2.0
#include "common/pool/membership.hpp"

#include <utility>

#include "common/pool/config.hpp"

namespace daxfs::pool {

Result<std::shared_ptr<Participant>> Membership::Join() const {
  ASSIGN_OR_RETURN(const PoolConfig config, ResolvePool(pool_));
  if (config.devices.empty()) {
    return FailedPreconditionError("the kernel module has not attached it: daxfsctl pool attach " +
                                   config.name);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Memory> memory,
                   Memory::Open(config.devices, os::Access::kWrite));
  ASSIGN_OR_RETURN(const HostIdentity host, host_());
  ASSIGN_OR_RETURN(std::unique_ptr<Participant> participant,
                   Participant::Attach(std::move(memory), host, name_));
  if (collected_) participant->CollectWhenFull(collected_);
  return std::shared_ptr<Participant>(std::move(participant));
}

Result<std::shared_ptr<Participant>> Membership::Get() {
  const std::lock_guard lock(mutex_);
  if (participant_ && participant_->IsMember()) return participant_;
  participant_.reset();
  Result<std::shared_ptr<Participant>> joined = Join();
  if (!joined.ok()) {
    Status lost = UnavailableError("pool " + pool_ + ": " + joined.status().message());
    if (!std::exchange(told_, true) && lost_) lost_(lost);
    return lost;
  }
  told_ = false;
  participant_ = *std::move(joined);
  ++joined_;
  if (joins_) joins_(*participant_);
  return participant_;
}

std::uint64_t Membership::Joined() {
  static_cast<void>(Get());
  const std::lock_guard lock(mutex_);
  return joined_;
}

}  // namespace daxfs::pool
