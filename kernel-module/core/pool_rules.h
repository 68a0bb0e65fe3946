/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The rules of docs/pool.md, by name, so that a test can leave one out. */
#ifndef DAXFS_POOL_RULES_H
#define DAXFS_POOL_RULES_H

/* The rules a test can leave out, to see that they are needed; no other build can. */
enum daxfs_rule {
	DAXFS_RULE_NONE,
	DAXFS_RULE_USE_FENCE,		/* between own bit and the second look */
	DAXFS_RULE_USE_RECHECK,		/* the second look */
	DAXFS_RULE_HOLD_FENCE,		/* between valid and the second look */
	DAXFS_RULE_HOLD_RECHECK,	/* the second look */
	DAXFS_RULE_COLLECT_FENCE,	/* between dying and the scan */
	DAXFS_RULE_COLLECT_UNDO,	/* dying back to ready when there is a reference */
	DAXFS_RULE_COLLECT_SLOTS,	/* the slot table is read behind that fence */
	DAXFS_RULE_FINISH_REMARK,	/* another's dying becomes one's own first */
	DAXFS_RULE_PUBLISH_USE,		/* own use before ready */
	DAXFS_RULE_GENERATION_END,	/* the generation grows where a life ends, only there */
	DAXFS_RULE_FREE_EXACT,		/* owner words change by exact swap */
	DAXFS_RULE_ORPHAN_ORDER,	/* the owner word is read before the row */
	DAXFS_RULE_ATTACH_DECIDES,	/* who attaches swaps its lock in, or gives way */
	DAXFS_RULE_ATTACH_FENCE,	/* between that and the look at its host */
	DAXFS_RULE_ATTACH_RECHECK,	/* which still has its number */
	DAXFS_RULE_KEY_COUNTS,		/* by a key that never comes back */
	DAXFS_RULE_FENCE_LEAVES,	/* a host that is off says so before its slots are ended */
	DAXFS_RULE_FENCE_FENCE,		/* between that and the look at the slots */
	DAXFS_RULE_FENCE_LOOKS,		/* each of which is that host's, and no later one's */
	DAXFS_RULE_PROOF_DECIDES,	/* who proves a death swaps the lock first */
	DAXFS_RULE_PROOF_LIVES,		/* to what was never there in another life */
	DAXFS_RULE_PROOF_RECHECK,	/* found in the life it saw */
	DAXFS_RULE_PROOF_LOOKS,		/* and speaks of its own host alone */
	DAXFS_RULE_LIFE_UNLOCKS,	/* a life that ends takes its lock's mark along */
	DAXFS_RULE_LOCK_MIXES,		/* which is another in each life */
	DAXFS_RULE_LOCK_LIVES,		/* and leaves a number that no other life had */
	DAXFS_RULE_SUCCEED_UNLOCKS,	/* a dead slot's successor takes the mark away first */
	DAXFS_RULE_SUCCEED_SWEEPS,	/* and what the dead one has left */
	DAXFS_RULE_SWEEP_CLAIM,		/* a dead slot is swept by who has claimed it */
	DAXFS_RULE_SWEEP_NAMELESS,	/* and one whose host is nobody's number is dead */
	DAXFS_RULE_SWEEP_CLAIMS,	/* what a dead sweeper had claimed is dead again */
	DAXFS_RULE_SWEEP_HOLDS,		/* holds the dead one had claimed are free */
	DAXFS_RULE_SWEEP_ALIASES,	/* aliases he was writing are free, or stay */
	DAXFS_RULE_SWEEP_MERGES,	/* chunks he was merging are split */
	DAXFS_RULE_RESCUE,		/* a second look that meets dying makes it ready */
	DAXFS_RULE_GENERATION_KEPT,	/* rescue and undo keep the generation */
	DAXFS_RULE_COLLECT_ORDER,	/* all bits, then all holds */
	DAXFS_RULE_ALIAS_EXACT,		/* alias words change by exact swap */
	DAXFS_RULE_ALIAS_SEQUENCE,	/* and grow at every change */
	DAXFS_RULE_ALIAS_SLOT,		/* and say who is writing */
	DAXFS_RULE_ALIAS_RECHECK,	/* the same word behind a body: one writer's */
	DAXFS_RULE_OVERFLOW_MARK,	/* the mark covers every overflow row in use */
	DAXFS_RULE_UNIQUE_FENCE,	/* between tentative and the scan */
	DAXFS_RULE_UNIQUE_POSITION,	/* of two tentative rows the position decides */
	DAXFS_RULE_UNIQUE_RELOOK,	/* a row that could not be freed is looked at again */
	DAXFS_RULE_UNIQUE_GONE,		/* a name of what is gone is freed, not passed over */
	DAXFS_RULE_FLIP_MOVING,		/* a flip changes the word before the target */
	DAXFS_RULE_FIND_GONE,		/* an alias of what is gone is looked at again */
	DAXFS_RULE_FIND_AGAIN,		/* who loses what it found looks again */
	DAXFS_RULE_GRANULE_FENCE,	/* between taking granules and the look at their chunk */
	DAXFS_RULE_GRANULE_RECHECK,	/* that look */
	DAXFS_RULE_MERGE_FENCE,		/* between merging and the look at the granules */
	DAXFS_RULE_ADOPT_USE,		/* a duplicate is adopted with a use of it */
	/* Without coherence between hosts: what is written back, and what is read anew. */
	DAXFS_RULE_FAR_USE_WRITE,	/* the own bit */
	DAXFS_RULE_FAR_FENCE,		/* between that and the look at the other's row */
	DAXFS_RULE_FAR_REFRESH,		/* that row */
	DAXFS_RULE_FAR_RECHECK,		/* which decides */
	DAXFS_RULE_ATTACH_WRITE,	/* a slot, before there are uses under it */
	DAXFS_RULE_ENDED_WRITE,		/* the end of a life, before what it had is another's */
	DAXFS_RULE_FAR_DROP_WRITE,	/* the bit, when the use ends */
	DAXFS_RULE_CLEAR_WRITE,		/* all bits of a slot that ends */
	DAXFS_RULE_HOLD_TARGET_WRITE,	/* what a hold names */
	DAXFS_RULE_HOLD_STATE_WRITE,	/* and that it is valid */
	DAXFS_RULE_HOLD_DROP_WRITE,	/* and that it is not */
	DAXFS_RULE_DYING_WRITE,		/* dying, before the scan */
	DAXFS_RULE_UNDO_WRITE,		/* ready again */
	DAXFS_RULE_READY_WRITE,		/* ready */
	DAXFS_RULE_SCAN_USES,		/* others' bits */
	DAXFS_RULE_SCAN_STATES,		/* others' holds */
	DAXFS_RULE_SCAN_TARGETS,	/* and what they name */
	DAXFS_RULE_ALIAS_WRITE,		/* an alias's word, at each change */
	DAXFS_RULE_BODY_WRITE,		/* its body, before it is committed */
	DAXFS_RULE_TARGET_WRITE,	/* its target, before it has moved */
	DAXFS_RULE_ALIAS_REFRESH,	/* an alias's word, before its body */
	DAXFS_RULE_BODY_REFRESH,	/* its body */
	DAXFS_RULE_RECHECK_REFRESH,	/* the word again */
	DAXFS_RULE_GONE_REFRESH,	/* whether its object lives */
	DAXFS_RULE_LIVING_REFRESH,	/* if not, whether it names another now */
	DAXFS_RULE_MARK_WRITE,		/* the overflow's mark */
	DAXFS_RULE_MARK_REFRESH,	/* likewise */
	DAXFS_RULE_OFF_WRITE,		/* a statement that a host is off */
	DAXFS_RULE_OFF_REFRESH,		/* likewise */
	DAXFS_RULE_LIFE_WRITE,		/* which life a host is in */
	DAXFS_RULE_LIFE_REFRESH,	/* by who collects */
	DAXFS_RULE_LIFE_STATED,		/* by who states that it is over */
	DAXFS_RULE_BEGIN_REFRESH,	/* what others stated, by the host itself */
	/* Kept by who calls core; the worlds leave them out. */
	DAXFS_RULE_CALLER_LOCK,		/* one at a time behind a slot */
	DAXFS_RULE_CALLER_TAKES,	/* no reference is handed over */
	DAXFS_RULE_CALLER_ADOPTS,	/* a duplicate is looked for before publication */
	DAXFS_RULE_CALLER_COLLECTS,	/* what was published is only ever collected */
	DAXFS_RULE_CALLER_PUBLISHES,	/* bytes are published before ready */
	DAXFS_RULE_CALLER_WRITES,	/* and written back, without coherence */
	DAXFS_RULE_CALLER_REFRESHES,	/* and read anew behind a use */
	DAXFS_RULE_COUNT
};

#ifdef DAXFS_ATOMIC_SIMULATED
typedef unsigned __int128 daxfs_rules;
extern daxfs_rules daxfs_sim_rules_left_out;	/* a bit a rule */
#define DAXFS_RULE(name)	(!((daxfs_sim_rules_left_out >> DAXFS_RULE_##name) & 1))
#else
#define DAXFS_RULE(name)	(DAXFS_RULE_##name != DAXFS_RULE_NONE)	/* always */
#endif

#endif /* DAXFS_POOL_RULES_H */
