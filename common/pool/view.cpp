// SPDX-License-Identifier: Apache-2.0
#include "common/pool/view.hpp"

#include <array>
#include <string>
#include <vector>

namespace daxfs::pool {

Result<Use> FindAny(Participant& participant, std::string_view text) {
  if (!text.starts_with("sha256:")) {
    ASSIGN_OR_RETURN(std::optional<Use> named, participant.FindName(text));
    if (named) return *std::move(named);
    return NotFoundError(participant.memory().name() + ": no object is called \"" +
                         std::string(text) + "\"");
  }
  ASSIGN_OR_RETURN(const Digest digest, ParseDigest(text));
  static constexpr std::array<AliasKind, 4> kKinds = {AliasKind::kRoot, AliasKind::kDiffId,
                                                      AliasKind::kBlob, AliasKind::kChain};
  for (const AliasKind kind : kKinds) {
    ASSIGN_OR_RETURN(std::optional<Use> found, participant.Find({kind, digest}));
    if (found) return *std::move(found);
  }
  return NotFoundError(participant.memory().name() + ": no object " + std::string(text));
}

Result<Mapped> Mapped::Open(const Participant& participant, Use use) {
  const Memory memory = participant.memory().At(use.ref().partition);
  daxfs_object_info object;
  daxfs_object_read(&memory.words(), use.ref().row, &object);
  std::vector<std::uint32_t> chunks(
      std::min(std::max<std::uint32_t>(object.chunk_count, 1), memory.words().owner_count));
  const char* why = "";
  const int error =
      daxfs_object_chunks(&memory.words(), use.ref().row, use.ref().generation, &object,
                          chunks.data(), static_cast<std::uint32_t>(chunks.size()), &why);
  if (error != 0) {
    return DataLossError(memory.name() + ": row " + std::to_string(use.ref().row) + ": " + why);
  }
  std::vector<os::Piece> pieces;
  for (const std::uint32_t chunk : chunks) {
    if (chunk >= memory.chunks()) {
      return FailedPreconditionError(memory.name() + ": the pool has grown beyond what this " +
                                     "process has mapped; open it again");
    }
    const bool small = object.granule_count != 0;
    const std::uint64_t offset =
        small ? std::uint64_t{object.first % DAXFS_CHUNK_GRANULES} << DAXFS_GRANULE_SHIFT : 0;
    const std::uint64_t length =
        small ? std::uint64_t{object.granule_count} << DAXFS_GRANULE_SHIFT : DAXFS_CHUNK_SIZE;
    pieces.push_back(memory.PieceOf(chunk, offset, length));
    // This host's caches may still have what was there before.
    memory.Refresh(memory.Chunk(chunk).subspan(offset, length));
  }
  ASSIGN_OR_RETURN(os::Gathered gathered, os::Gathered::Map(pieces));
  return Mapped(std::move(use), std::move(gathered), object.size);
}

}  // namespace daxfs::pool
