// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>

#include "common/base/status.hpp"
#include "common/pool/building.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {

enum class How {
  kFound,   // it was there
  kWaited,  // another participant was building it
  kBuilt,   // by this one
};

// "found", "waited" or "built".
const char* HowText(How how);

struct Obtained {
  Use use;
  How how = How::kBuilt;
};

struct ObtainOptions {
  // Another's build that does not get on for so long is not waited for any more.
  std::chrono::milliseconds patience{10000};
  std::chrono::milliseconds poll{20};
  // Called while it waits, with the other's progress in bytes; a failure ends the wait.
  std::function<Status(std::uint64_t progress_bytes)> waiting = {};
};

// Fills and seals an object and says its digest.
using Build = std::function<Result<Digest>(Building& building)>;

// The object `key` stands for: the one that is there, else one that another participant is
// building, else a new one. Only one of many that ask at once builds, as long as it lives and gets
// on; `key` is an alias of what was built. Errors: those of `build`; kResourceExhausted.
Result<Obtained> Obtain(Participant& participant, const Key& key, const Build& build,
                        const ObtainOptions& options = {});

// A small object that is there already or is placed now. Errors: kOutOfRange above 64 KiB;
// kResourceExhausted.
Result<Use> PutBlob(Participant& participant, std::span<const std::byte> bytes);

}  // namespace daxfs::pool
