// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/pool/participant.hpp"

namespace daxfs::tools {

struct RecordLayer {
  std::string digest;   // "sha256:..." of its image
  std::string diff_id;  // and of the layer it was made of
  std::uint64_t size_bytes = 0;
};

// What a name of `daxfs-build --per-layer` stands for: the layers of an image, the lowest first.
using Record = std::vector<RecordLayer>;

// Nothing for bytes that are none.
std::optional<Record> ParseRecord(std::span<const std::byte> bytes);

// Nothing for an object that is none. Errors: kDataLoss if the pool's own words of it are wrong.
Result<std::optional<Record>> ReadRecord(pool::Participant& participant, pool::Ref ref);

// For who wants one image of them.
Status NotOneImage(const std::string& pool, const std::string& name, const Record& record);

}  // namespace daxfs::tools
