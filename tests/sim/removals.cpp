// SPDX-License-Identifier: Apache-2.0
// What has to be seen when rules are left out.
#include "pool_world.hpp"

namespace daxfs::sim {
namespace {

const char* const kUse = "the object of a reported use is gone";
const char* const kHold = "the object of a reported hold is gone";
const char* const kChunk = "a live object does not own its chunk";
const char* const kHalfWay = "an alias is left half-way";
const char* const kTwoNames = "two rows of one name";
const char* const kAnothers = "an alias names another's object";
const char* const kMissed = "a look-up missed what was there";
const char* const kReference = "the object of a reported reference is gone";
const char* const kRefused = "what was free was refused";
const char* const kObject = "a look-up gave another's object";
const char* const kNumber = "a slot names another's number";
const char* const kLost = "what was told to be there is lost";
constexpr Memory kSc = Memory::kSc, kTso = Memory::kTso, kWeak = Memory::kWeak;

constexpr daxfs_rules Rules(daxfs_rule one, daxfs_rule other) {
  return RuleBit(one) | RuleBit(other);
}

#define RULE(name) RuleBit(DAXFS_RULE_##name)

std::vector<Removal> OfObjects() {
  return {
      {"use-fence", RULE(USE_FENCE), "A-use-collect", kTso, kUse},
      {"use-recheck", RULE(USE_RECHECK), "A-use-collect", kSc, kUse},
      {"collect-fence", RULE(COLLECT_FENCE), "A-use-collect", kWeak, kUse},
      {"collect-undo", RULE(COLLECT_UNDO), "A-use-collect", kSc, "the row is left half-way"},
      {"rescue", RULE(RESCUE), "A-never-missed", kSc, kMissed},
      {"generation-end", RULE(GENERATION_END), "A-use-collect-rebuild", kSc, kChunk},
      {"generation-kept", RULE(GENERATION_KEPT), "B-hold-undone-dying", kSc, kHold},
      {"generation-kept", RULE(GENERATION_KEPT), "A-undone-dying", kSc, kChunk},
      {"finish-remark", RULE(FINISH_REMARK), "A2-use-collect-finish", kSc, kUse},
      {"hold-fence", RULE(HOLD_FENCE), "B-hold-collect", kTso, kHold},
      {"hold-recheck", RULE(HOLD_RECHECK), "B-hold-collect", kSc, kHold},
      {"collect-order", Rules(DAXFS_RULE_COLLECT_ORDER, DAXFS_RULE_HOLD_RECHECK),
       "B-hold-under-use", kSc, kHold},
      {"publish-use", RULE(PUBLISH_USE), "H-publish-collect", kSc, kUse},
      {"collect-slots", RULE(COLLECT_SLOTS), "X-attach-collect", kSc, kUse},
      {"attach-decides", RULE(ATTACH_DECIDES), "K-attach-or-proof", kSc, kUse},
      {"attach-fence", RULE(ATTACH_FENCE), "K-host-begins-while-ended", kWeak, kNumber},
      {"attach-recheck", RULE(ATTACH_RECHECK), "K-host-begins-while-ended", kSc, kNumber},
      {"fence-leaves", RULE(FENCE_LEAVES), "K-host-begins-while-ended", kSc, kNumber},
      {"fence-fence", RULE(FENCE_FENCE), "K-host-begins-while-ended", kWeak, kNumber},
      {"fence-looks", RULE(FENCE_LOOKS), "K-two-fences", kSc, "a dead slot is left over"},
      {"proof-decides", RULE(PROOF_DECIDES), "K-attach-or-proof", kSc, kUse},
      {"proof-lives", RULE(PROOF_LIVES), "K-attach-or-two-proofs", kSc, kUse},
      {"proof-recheck", RULE(PROOF_RECHECK), "K-proof-of-another-life", kSc,
       "a dead slot is left over"},
      {"proof-looks", RULE(PROOF_LOOKS), "K-proof-of-another-host", kSc,
       "a dead slot is left over"},
      {"life-unlocks", RULE(LIFE_UNLOCKS), "K-attacher-dies", kSc,
       "a slot of the dead is left over"},
      {"lock-mixes", RULE(LOCK_MIXES), "K-successor-stalls", kSc, "the living lost its lock"},
      {"key-counts", RULE(KEY_COUNTS), "K-host-rejoins", kSc,
       "who joined before its host was ended begins behind that"},
      {"lock-lives", RULE(LOCK_LIVES), "K-successor-of-another-life", kSc, "a use is left over"},
      {"succeed-unlocks", RULE(SUCCEED_UNLOCKS), "K-successor-dies", kSc,
       "a slot of the dead is left over"},
      {"succeed-sweeps", RULE(SUCCEED_SWEEPS), "K-successor", kSc, "the row is left half-way"},
      {"sweep-claim", RULE(SWEEP_CLAIM), "X-two-sweepers", kSc, kUse},
      {"sweep-nameless", RULE(SWEEP_NAMELESS), "K-beginner-dies", kSc,
       "a slot of the dead is left over"},
      {"sweep-claims", RULE(SWEEP_CLAIMS), "W-sweeper-dies", kSc, "a dead slot is left over"},
      {"sweep-holds", RULE(SWEEP_HOLDS), "B-holder-dies", kSc, "a claimed hold is left over"},
      {"sweep-merges", RULE(SWEEP_MERGES), "M-merger-dies", kSc, "a merge is left over"},
      {"caller-lock", RULE(CALLER_LOCK), "C-two-rows-one-word", kSc, "a use is left over"},
      {"caller-lock", RULE(CALLER_LOCK), "C-count-behind-a-bit", kSc, kUse},
      {"caller-takes", RULE(CALLER_TAKES), "Z-hand-over", kSc, kUse},
      {"caller-publishes", RULE(CALLER_PUBLISHES), "D-bytes", kSc,
       "bytes are read before they are there"},
      {"free-exact", RULE(FREE_EXACT), "F-orphans", kSc, kChunk},
      {"free-exact", RULE(FREE_EXACT), "F-orphan-taken", kSc, kChunk},
      {"free-exact", RULE(FREE_EXACT), "P2-other-row-takes-orphan", kSc, kChunk},
      {"free-exact", RULE(FREE_EXACT), "M-split-or-take", kSc, kChunk},
      {"free-exact", RULE(FREE_EXACT), "M-collect-take-merge", kSc, kChunk},
      {"orphan-order", RULE(ORPHAN_ORDER), "F-orphans", kSc, kChunk},
      {"granule-recheck", RULE(GRANULE_RECHECK), "M-take-merge", kSc, kChunk},
      {"granule-fence", RULE(GRANULE_FENCE), "M-take-merge", kWeak, kChunk},
      {"merge-fence", RULE(MERGE_FENCE), "M-take-merge", kWeak, kChunk},
  };
}

std::vector<Removal> OfAliases() {
  return {
      {"alias-exact", RULE(ALIAS_EXACT), "I-two-take-two-rows", kSc, kLost},
      {"alias-exact", RULE(ALIAS_EXACT), "N-2-inserters", kSc, kTwoNames},
      {"alias-sequence", RULE(ALIAS_SEQUENCE), "T-row-used-again", kSc,
       "a look-up gave another's object"},
      {"alias-sequence", RULE(ALIAS_SEQUENCE), "N-flip-and-replace", kSc, kAnothers},
      {"alias-slot", Rules(DAXFS_RULE_ALIAS_SEQUENCE, DAXFS_RULE_ALIAS_SLOT), "N-3-force-and-reuse",
       kSc, kLost},
      {"alias-recheck", RULE(ALIAS_RECHECK), "T-row-used-again", kSc,
       "a look-up gave another's object"},
      {"overflow-mark", RULE(OVERFLOW_MARK), "N-overflow-begins", kSc, kTwoNames},
      {"unique-fence", RULE(UNIQUE_FENCE), "N-2-inserters", kWeak, kTwoNames},
      {"unique-position", RULE(UNIQUE_POSITION), "N-2-inserters", kSc, "all inserters lost"},
      {"unique-relook", RULE(UNIQUE_RELOOK), "N-2-inserters", kSc, kTwoNames},
      {"unique-gone", RULE(UNIQUE_GONE), "N-name-of-nothing", kSc, kTwoNames},
      {"flip-moving", RULE(FLIP_MOVING), "N-flip-and-replace", kSc, kAnothers},
      {"find-gone", RULE(FIND_GONE), "S6-flip-collect-read", kSc, kMissed},
      {"find-again", RULE(FIND_AGAIN), "S6-flip-collect-read", kSc, kMissed},
      {"sweep-aliases", RULE(SWEEP_ALIASES), "I-inserter-dies", kSc, kHalfWay},
      {"sweep-aliases", RULE(SWEEP_ALIASES), "N-two-flips-one-dies", kSc, kHalfWay},
      {"adopt-use", RULE(ADOPT_USE), "E-two-builders-collector", kSc, kUse},
      {"caller-adopts", RULE(CALLER_ADOPTS), "E-two-builders", kSc, "all duplicates were dropped"},
      {"caller-collects", Rules(DAXFS_RULE_CALLER_ADOPTS, DAXFS_RULE_CALLER_COLLECTS),
       "E-two-builders-reader", kSc, kUse},
  };
}

// Of hosts without coherence. What is only late, not wrong, is seen by who was told that it is so.
std::vector<Removal> OfHosts() {
  const auto apart = [](const char* name, daxfs_rule rule, const char* world, const char* failure) {
    return Removal{name, RuleBit(rule), world, Memory::kApart, failure};
  };
  const char* const bytes = "bytes are read before they are there";
  return {
      apart("far-use-write", DAXFS_RULE_FAR_USE_WRITE, "P-use-collect", kReference),
      apart("far-fence", DAXFS_RULE_FAR_FENCE, "P-use-collect", kReference),
      apart("far-refresh", DAXFS_RULE_FAR_REFRESH, "P-use-collect", kReference),
      apart("far-recheck", DAXFS_RULE_FAR_RECHECK, "P-use-collect", kReference),
      apart("attach-write", DAXFS_RULE_ATTACH_WRITE, "P-user-comes-back", kRefused),
      apart("ended-write", DAXFS_RULE_ENDED_WRITE, "P-builder-comes-back", bytes),
      apart("undo-write", DAXFS_RULE_UNDO_WRITE, "P-told-rescued", kMissed),
      apart("far-drop-write", DAXFS_RULE_FAR_DROP_WRITE, "P-told-dropped", kRefused),
      apart("clear-write", DAXFS_RULE_CLEAR_WRITE, "P-told-detached", kRefused),
      apart("hold-target-write", DAXFS_RULE_HOLD_TARGET_WRITE, "P-hold-collect", kReference),
      apart("hold-state-write", DAXFS_RULE_HOLD_STATE_WRITE, "P-hold-collect", kReference),
      apart("hold-drop-write", DAXFS_RULE_HOLD_DROP_WRITE, "P-told-unheld", kRefused),
      apart("dying-write", DAXFS_RULE_DYING_WRITE, "P-use-collect", kReference),
      apart("undo-write", DAXFS_RULE_UNDO_WRITE, "P-told-undone", kMissed),
      apart("ready-write", DAXFS_RULE_READY_WRITE, "P-told-ready", kMissed),
      apart("scan-uses", DAXFS_RULE_SCAN_USES, "P-use-collect", kReference),
      apart("scan-states", DAXFS_RULE_SCAN_STATES, "P-hold-collect", kReference),
      apart("scan-targets", DAXFS_RULE_SCAN_TARGETS, "P-hold-collect", kReference),
      apart("alias-write", DAXFS_RULE_ALIAS_WRITE, "P-row-used-again", kObject),
      apart("body-write", DAXFS_RULE_BODY_WRITE, "P-told-alias", kMissed),
      apart("target-write", DAXFS_RULE_TARGET_WRITE, "P-flip-collect-read", kMissed),
      apart("alias-refresh", DAXFS_RULE_ALIAS_REFRESH, "P-told-alias", kMissed),
      apart("body-refresh", DAXFS_RULE_BODY_REFRESH, "P-told-alias", kMissed),
      apart("recheck-refresh", DAXFS_RULE_RECHECK_REFRESH, "P-row-used-again", kObject),
      apart("gone-refresh", DAXFS_RULE_GONE_REFRESH, "P-told-next-life", kMissed),
      apart("living-refresh", DAXFS_RULE_LIVING_REFRESH, "P-flip-collect-read", kMissed),
      apart("mark-write", DAXFS_RULE_MARK_WRITE, "P-told-alias", kMissed),
      apart("mark-refresh", DAXFS_RULE_MARK_REFRESH, "P-told-alias", kMissed),
      apart("off-write", DAXFS_RULE_OFF_WRITE, "P-off", kRefused),
      apart("off-refresh", DAXFS_RULE_OFF_REFRESH, "P-off", kRefused),
      apart("life-write", DAXFS_RULE_LIFE_WRITE, "P-comes-back", kReference),
      apart("life-refresh", DAXFS_RULE_LIFE_REFRESH, "P-comes-back", kReference),
      apart("life-stated", DAXFS_RULE_LIFE_STATED, "P-off", kRefused),
      apart("begin-refresh", DAXFS_RULE_BEGIN_REFRESH, "P-comes-back", kReference),
      apart("caller-writes", DAXFS_RULE_CALLER_WRITES, "P-bytes", bytes),
      apart("caller-refreshes", DAXFS_RULE_CALLER_REFRESHES, "P-bytes", bytes),
  };
}

}  // namespace

const std::vector<Removal>& Removals() {
  static const std::vector<Removal> removals = [] {
    std::vector<Removal> all = OfObjects();
    for (const std::vector<Removal>& more : {OfAliases(), OfHosts()})
      all.insert(all.end(), more.begin(), more.end());
    return all;
  }();
  return removals;
}

}  // namespace daxfs::sim
