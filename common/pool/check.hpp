// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/pool/memory.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::pool {

enum class Severity {
  kLeftover,  // of the dead or collected; costs room, harms nobody
  kDamage,    // the memory says what no program writes
};

struct Finding {
  Severity severity = Severity::kLeftover;
  std::string what;
  bool repaired = false;
};

// Looks at every word and record of a pool. With a participant it frees leftovers on the way.
// Others may go on meanwhile: what is only half done is not reported.
std::vector<Finding> Check(const Memory& memory, Participant* repairer);

}  // namespace daxfs::pool
