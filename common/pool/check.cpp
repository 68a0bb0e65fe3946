// SPDX-License-Identifier: Apache-2.0
#include "common/pool/check.hpp"

#include <array>
#include <map>
#include <string>
#include <utility>

#include "common/pool/inspect.hpp"

namespace daxfs::pool {
namespace {

std::string Row(std::uint32_t row) { return "row " + std::to_string(row); }

class Checker {
 public:
  Checker(const Memory& memory, Participant* repairer)
      : memory_(memory), words_(memory.words()), repairer_(repairer) {}

  std::vector<Finding> Run() {
    Slots();
    Rows();
    Chunks();
    Index(words_.aliases, "alias");
    Index(words_.names, "name");
    Holds();
    return std::move(findings_);
  }

 private:
  void Damage(std::string what) { findings_.push_back({Severity::kDamage, std::move(what)}); }
  void Leftover(std::string what, bool repaired) {
    findings_.push_back({Severity::kLeftover, std::move(what), repaired});
  }

  void Slots() {
    const std::uint32_t swept = repairer_ != nullptr ? repairer_->SweepLocal() : 0;
    if (swept > 0) Leftover(std::to_string(swept) + " dead participants", true);
    for (std::uint32_t slot = 0; slot < words_.slot_count; ++slot) {
      const std::uint64_t word = daxfs_load(&words_.slots[slot]);
      const std::string name = "slot " + std::to_string(slot);
      if (daxfs_word_state(word) > DAXFS_SLOT_SWEEPING) Damage(name + ": state unknown");
      if (daxfs_word_state(word) == DAXFS_SLOT_DEAD) Leftover(name + ": dead", false);
      if (daxfs_word_state(word) != DAXFS_SLOT_FREE) continue;
      for (std::uint32_t i = 0; i < words_.use_words; ++i) {
        if (daxfs_load(&daxfs_slot_uses(&words_, slot)[i]) != 0 &&
            daxfs_load(&words_.slots[slot]) == word) {
          Damage(name + ": is free and has uses");
          break;
        }
      }
    }
  }

  void Rows() {
    for (std::uint32_t row = 0; row < words_.row_count; ++row) {
      const std::uint64_t word = daxfs_load(&words_.rows[row]);
      const std::uint32_t state = daxfs_word_state(word);
      if (state > DAXFS_ROW_RECLAIMING) Damage(Row(row) + ": state unknown");
      if (state == DAXFS_ROW_BUILDING || state == DAXFS_ROW_DYING ||
          state == DAXFS_ROW_RECLAIMING) {
        CheckWorker(row, word);
      }
      if (state == DAXFS_ROW_READY) CheckObject(row, word);
    }
  }

  // Whose slot is free works on nothing.
  void CheckWorker(std::uint32_t row, std::uint64_t word) {
    const std::uint32_t slot = daxfs_word_slot(word);
    const bool nobody = slot >= words_.slot_count ||
                        daxfs_word_state(daxfs_load(&words_.slots[slot])) == DAXFS_SLOT_FREE;
    if (nobody && daxfs_load(&words_.rows[row]) == word) {
      Damage(Row(row) + ": is in the hands of slot " + std::to_string(slot) + ", which is free");
    }
  }

  void CheckObject(std::uint32_t row, std::uint64_t word) {
    daxfs_object_info object;
    daxfs_object_read(&words_, row, &object);
    const char* why = "";
    const std::uint64_t generation = daxfs_word_generation(word);
    const int error = daxfs_object_chunks(&words_, row, generation, &object, nullptr, 0, &why);
    if (daxfs_load(&words_.rows[row]) != word) return;  // it went meanwhile
    chunks_of_[daxfs_reference(row, generation)] = object.chunk_count;
    if (error == 0) return;
    // Nobody can mount it: it only takes room.
    const bool gone = repairer_ != nullptr && repairer_->CollectOne({row, generation}).ok();
    findings_.push_back({Severity::kDamage, Row(row) + ": " + why, gone});
  }

  void Chunks() {
    std::uint32_t orphans = 0;
    std::uint32_t freed = 0;
    std::map<std::uint64_t, std::uint32_t> owned;
    for (std::uint32_t chunk = 0; chunk < words_.owner_count; ++chunk) {
      const std::uint64_t owner = daxfs_load(&words_.owners[chunk]);
      if (owner == 0 || owner == DAXFS_OWNER_ABSENT) continue;
      if (daxfs_reference_row(owner) > DAXFS_ROW_MAX) {
        Granules(chunk, owner);
      } else if (daxfs_reference_row(owner) >= words_.row_count) {
        Damage("chunk " + std::to_string(chunk) + ": owner beyond the table of rows");
      } else if (!OwnerLives(memory_, owner)) {
        ++orphans;
        if (repairer_ != nullptr && daxfs_chunk_free_orphan(&words_, chunk) == 0) ++freed;
      } else {
        ++owned[owner];
      }
    }
    if (orphans > 0) Leftover(std::to_string(orphans) + " chunks of ended lives", freed == orphans);
    for (const auto& [owner, count] : owned) {
      const auto object = chunks_of_.find(owner);
      if (object == chunks_of_.end() || object->second == count || !OwnerLives(memory_, owner))
        continue;
      Damage(Row(daxfs_reference_row(owner)) + ": owns " + std::to_string(count) +
             " chunks, and says " + std::to_string(object->second));
    }
  }

  void Granules(std::uint32_t chunk, std::uint64_t owner) {
    const std::string name = "chunk " + std::to_string(chunk);
    if (owner != DAXFS_OWNER_SPLIT &&
        (owner & ~(0xffffULL << DAXFS_OWNER_MERGER_SHIFT)) != DAXFS_OWNER_MERGING) {
      Damage(name + ": owner word unknown");
      return;
    }
    std::uint32_t used = 0;
    std::uint32_t orphans = 0;
    for (std::uint32_t i = 0; i < DAXFS_CHUNK_GRANULES; ++i) {
      const std::uint64_t granule = daxfs_load(&words_.granules[chunk * DAXFS_CHUNK_GRANULES + i]);
      if (granule == 0) continue;
      if (daxfs_reference_row(granule) >= words_.row_count) {
        Damage(name + ": granule " + std::to_string(i) + ": owner beyond the table of rows");
        ++used;
      } else if (OwnerLives(memory_, granule)) {
        ++used;
      } else {
        ++orphans;
      }
    }
    if (orphans == 0 && used > 0) return;
    const bool merged = used == 0 && repairer_ != nullptr && repairer_->MergeChunk(chunk);
    if (orphans > 0) {
      Leftover(name + ": " + std::to_string(orphans) + " granules of ended lives", merged);
    }
  }

  void Index(const daxfs_index& index, const std::string& kind) {
    std::uint32_t stale = 0;
    std::uint32_t freed = 0;
    std::array<__u64, DAXFS_NAME_WORDS> body{};
    for (std::uint32_t i = 0; i < daxfs_index_rows(&index); ++i) {
      const std::uint64_t word = daxfs_load(&index.words[i]);
      const std::uint32_t state = daxfs_word_state(word);
      if (state == DAXFS_ALIAS_FREE) continue;
      if (state > DAXFS_ALIAS_MOVING) Damage(kind + " " + std::to_string(i) + ": state unknown");
      if (state != DAXFS_ALIAS_COMMITTED || daxfs_index_read(&index, i, body.data()) != word) {
        continue;
      }
      const std::uint64_t target = body[DAXFS_BODY_TARGET];
      __u32 row = 0;
      if (daxfs_target_home(&words_, target, &row) == nullptr) {
        Damage(kind + " " + std::to_string(i) + ": points beyond the table of rows");
      } else if (!TargetLives(memory_, target)) {
        ++stale;
        const daxfs_alias alias = {word, target, i};
        if (repairer_ != nullptr && daxfs_index_remove(&index, &alias) == 0) ++freed;
      }
    }
    // They are taken by whoever needs room; nothing is wrong with them.
    if (stale > 0 && repairer_ != nullptr) {
      Leftover(std::to_string(stale) + " rows of the table of " +
                   (kind == "alias" ? "aliases" : "names") + " for what is gone",
               freed == stale);
    }
  }

  void Holds() {
    for (std::uint32_t i = 0; i < words_.hold_count; ++i) {
      daxfs_hold_info hold;
      if (daxfs_hold_read(&words_, i, &hold) == 0 || TargetLives(memory_, hold.target)) continue;
      const bool dropped = repairer_ != nullptr && daxfs_hold_drop(&words_, i, hold.word) == 0;
      findings_.push_back({Severity::kDamage,
                           "hold \"" + std::string(hold.name, hold.name_length) + "\" (" +
                               HoldKindName(hold.kind) + ") of host " + std::to_string(hold.host) +
                               ": what it holds is gone",
                           dropped});
    }
  }

  const Memory& memory_;
  const daxfs_pool& words_;
  Participant* repairer_;
  std::vector<Finding> findings_;
  std::map<std::uint64_t, std::uint32_t> chunks_of_;  // of ready objects, by reference
};

}  // namespace

std::vector<Finding> Check(const Memory& memory, Participant* repairer) {
  return Checker(memory, repairer).Run();
}

}  // namespace daxfs::pool
