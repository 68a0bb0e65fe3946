// SPDX-License-Identifier: Apache-2.0
#include "common/pool/heart.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace daxfs::pool {
namespace {

// Its own, and those of its slots: a kernel has no other.
std::vector<std::pair<std::uint32_t, std::uint64_t>> HeartsOf(const Memory& memory,
                                                              const HostView& host) {
  const Memory home = memory.partition_count() > 1 ? memory.At(host.host) : memory;
  home.ReadAnew();
  std::vector<std::pair<std::uint32_t, std::uint64_t>> hearts;
  for (const HostView& one : ListHosts(home)) {
    if (one.host == host.host) hearts.emplace_back(UINT32_MAX, one.heartbeat);
  }
  for (const SlotView& slot : ListSlots(home)) {
    if (slot.host == host.host && slot.state == std::string_view("attached"))
      hearts.emplace_back(slot.slot, slot.heartbeat);
  }
  return hearts;
}

}  // namespace

Status FenceTheStill(std::unique_ptr<Memory> memory, const HostIdentity& self,
                     const std::string& name, const HostView& host, const Watch& watch) {
  // It may have begun anew under another number while somebody stated that it was off, and died.
  if (host.id == self.id && !host.leaving)
    return InvalidArgumentError("a host that runs this command is not off");
  if (Changes([&] { return HeartsOf(*memory, host); }, watch)) {
    return FailedPreconditionError(
        memory->name() + ": host " + std::to_string(host.host) + ", " + UuidText(host.id) +
        ", is alive: its heart beats in this pool (daxfsctl pool info shows it). Nothing was "
        "changed; end what it runs, or switch it off, first");
  }
  const bool partitioned = memory->partition_count() > 1;
  if (!partitioned) RETURN_IF_ERROR(StateOff(*memory, host.host, host.key));
  // Which undoes what it had.
  const Result<std::unique_ptr<Participant>> participant =
      Participant::Attach(std::move(memory), self, name);
  if (!participant.ok()) {
    return partitioned ? participant.status()
                       : participant.status().WithContext(
                             "the host is off from now on, but what it had is left to be freed by "
                             "the next process in the pool (daxfsctl pool gc)");
  }
  return partitioned ? (*participant)->FencePartition(host.host) : Status::Ok();
}

}  // namespace daxfs::pool
