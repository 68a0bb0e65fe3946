// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The end of a row's life: is there a reference, and if not, giving back what it had. */
#include "pool.h"

static int slot_used(const struct daxfs_pool *pool, __u32 slot, __u32 row)
{
	const struct daxfs_word *uses = &daxfs_slot_uses(pool, slot)[row / 64];

	return (daxfs_load(uses) >> (row % 64)) & 1;
}

static int any_use(const struct daxfs_pool *pool, __u32 row, __u64 skipped)
{
	__u32 i;

	for (i = 0; i < pool->slot_count; i++) {
		if (i < 64 && ((skipped >> i) & 1))
			continue;
		if (daxfs_word_state(daxfs_load(&pool->slots[i])) == DAXFS_SLOT_FREE)
			continue;
		if (slot_used(pool, i, row))
			return 1;
	}
	return 0;
}

static int any_hold(const struct daxfs_pool *pool, __u64 target)
{
	__u32 i;

	for (i = 0; i < pool->hold_count; i++)
		if (daxfs_word_state(daxfs_load(&pool->hold_states[i])) == DAXFS_HOLD_VALID &&
		    daxfs_load(&pool->hold_targets[i]) == target)
			return 1;
	return 0;
}

/* All slots first, then all holds: a hold taken under a use is seen as one or the other. */
static int referenced(const struct daxfs_pool *pool, __u32 row, __u64 generation, __u64 skipped)
{
	__u64 target = daxfs_target(pool, row, generation);

	if (!DAXFS_RULE(COLLECT_ORDER))
		return any_hold(pool, target) || any_use(pool, row, skipped);
	return any_use(pool, row, skipped) || any_hold(pool, target) ||
	       (pool->role == DAXFS_ROLE_HOME && daxfs_far_referenced(pool, row, generation));
}

/* Without the rule the slot table is read too early: which slots were free then. */
static __u64 free_slots_now(const struct daxfs_pool *pool)
{
	__u64 free_slots = 0;
	__u32 i;

	for (i = 0; i < pool->slot_count && i < 64; i++)
		if (daxfs_word_state(daxfs_load(&pool->slots[i])) == DAXFS_SLOT_FREE)
			free_slots |= 1ULL << i;
	return free_slots;
}

int daxfs_collect(const struct daxfs_pool *pool, __u32 slot, __u32 row)
{
	return daxfs_collect_from(pool, slot, row, daxfs_load(&pool->rows[row]));
}

int daxfs_collect_from(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 word)
{
	struct daxfs_word *state = &pool->rows[row];
	__u64 skipped = DAXFS_RULE(COLLECT_SLOTS) ? 0 : free_slots_now(pool);
	__u64 generation = daxfs_word_generation(word);
	__u64 dying = daxfs_word_make(DAXFS_ROW_DYING, slot, generation);
	__u64 ready = daxfs_word_make(DAXFS_ROW_READY, 0,
				      generation + !DAXFS_RULE(GENERATION_KEPT));
	__u64 ended = daxfs_word_make(DAXFS_ROW_RECLAIMING, slot,
				      (generation + 1) & DAXFS_GENERATION_MASK);

	if (daxfs_word_state(word) != DAXFS_ROW_READY && daxfs_word_state(word) != DAXFS_ROW_DYING)
		return -ENOENT;
	if (daxfs_word_state(word) == DAXFS_ROW_DYING && !DAXFS_RULE(FINISH_REMARK))
		dying = word;
	else if (daxfs_cas(state, word, dying) != word)
		return -EAGAIN;
	daxfs_stored(pool->role, state, sizeof(*state), DAXFS_RULE(DYING_WRITE));
	/*
	 * Pairs with the fences in daxfs_use_take(), daxfs_far_use_take() and
	 * daxfs_hold_take(): whoever is missed by the scan sees dying.
	 */
	if (DAXFS_RULE(COLLECT_FENCE))
		daxfs_fence();
	if (referenced(pool, row, generation, skipped)) {
		if (DAXFS_RULE(COLLECT_UNDO))
			daxfs_cas(state, dying, ready);
		daxfs_stored(pool->role, state, sizeof(*state), DAXFS_RULE(UNDO_WRITE));
		return -EBUSY;
	}
	if (daxfs_cas(state, dying, ended) != dying)
		return -EAGAIN;
	daxfs_reclaim(pool, row, ended);
	return 0;
}

void daxfs_reclaim(const struct daxfs_pool *pool, __u32 row, __u64 word)
{
	__u64 generation = daxfs_word_generation(word);
	__u32 i;

	/* Before a chunk is another's: a host that loses its power finds that this life ended. */
	daxfs_stored(pool->role, &pool->rows[row], sizeof(word), DAXFS_RULE(ENDED_WRITE));
	/* Chunks of this row that name an earlier life; one that another has reused is skipped. */
	for (i = 0; i < pool->owner_count; i++) {
		__u64 owner = daxfs_load(&pool->owners[i]);

		if (pool->granule_count && daxfs_owner_is_split(owner))
			daxfs_granules_reclaim(pool, i, row, generation);
		if (daxfs_reference_row(owner) != row ||
		    daxfs_word_generation(owner) == generation)
			continue;
		if (DAXFS_RULE(FREE_EXACT))
			daxfs_cas(&pool->owners[i], owner, 0);
		else
			daxfs_store(&pool->owners[i], 0);
	}
	daxfs_cas(&pool->rows[row], word, daxfs_word_make(DAXFS_ROW_FREE, 0, generation));
}
