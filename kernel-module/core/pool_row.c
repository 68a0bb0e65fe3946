// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A row's life up to ready, and the chunks it owns. */
#include "pool.h"

int daxfs_row_claim(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 *generation)
{
	__u64 word = daxfs_load(&pool->rows[row]);
	__u64 current_generation = daxfs_word_generation(word);

	if (daxfs_word_state(word) != DAXFS_ROW_FREE)
		return -EBUSY;
	*generation = current_generation;
	if (daxfs_cas(&pool->rows[row], word,
		      daxfs_word_make(DAXFS_ROW_BUILDING, slot, current_generation)) == word)
		return 0;
	daxfs_contended(pool, DAXFS_CONTENTION_ROWS);
	return -EBUSY;
}

/*
 * Reads the owner word of @chunk; 1 if it may be swapped from @owner: free, or an orphan.
 * A row beyond the table is damage, or a chunk that is split, not an orphan.
 */
static int may_take(const struct daxfs_pool *pool, __u32 chunk, __u64 *owner)
{
	__u64 row_word = 0;
	__u32 row;

	if (!DAXFS_RULE(ORPHAN_ORDER))
		row_word = daxfs_load(&pool->rows[0]);	/* worlds without the rule have one row */
	*owner = daxfs_load(&pool->owners[chunk]);
	if (!*owner)
		return 1;
	row = daxfs_reference_row(*owner);
	if (row >= pool->row_count)
		return 0;
	if (DAXFS_RULE(ORPHAN_ORDER))
		row_word = daxfs_load(&pool->rows[row]);
	return daxfs_is_orphan(*owner, row_word);
}

static int swap_owner(const struct daxfs_pool *pool, __u32 chunk, __u64 from, __u64 to)
{
	if (!DAXFS_RULE(FREE_EXACT)) {
		daxfs_store(&pool->owners[chunk], to);
		return 0;
	}
	return daxfs_cas(&pool->owners[chunk], from, to) == from ? 0 : -EBUSY;
}

/* Makes a chunk that is free, or an orphan, @to. */
static int take(const struct daxfs_pool *pool, __u32 chunk, __u64 to)
{
	__u64 owner;
	int error;

	if (!may_take(pool, chunk, &owner))
		return -EBUSY;
	error = swap_owner(pool, chunk, owner, to);
	if (error)
		daxfs_contended(pool, DAXFS_CONTENTION_CHUNKS);
	return error;
}

int daxfs_chunk_take(const struct daxfs_pool *pool, __u32 chunk, __u32 row, __u64 generation)
{
	return take(pool, chunk, daxfs_reference(row, generation));
}

void daxfs_chunk_give_back(const struct daxfs_pool *pool, __u32 chunk, __u32 row,
			   __u64 generation)
{
	swap_owner(pool, chunk, daxfs_reference(row, generation), 0);
}

int daxfs_chunk_split(const struct daxfs_pool *pool, __u32 chunk)
{
	return take(pool, chunk, DAXFS_OWNER_SPLIT);
}

int daxfs_chunk_remove(const struct daxfs_pool *pool, __u32 chunk)
{
	return take(pool, chunk, DAXFS_OWNER_ABSENT);
}

int daxfs_chunk_add(const struct daxfs_pool *pool, __u32 chunk)
{
	struct daxfs_word *owner = &pool->owners[chunk];

	return daxfs_cas(owner, DAXFS_OWNER_ABSENT, 0) == DAXFS_OWNER_ABSENT ? 0 : -ENOENT;
}

int daxfs_chunk_free_orphan(const struct daxfs_pool *pool, __u32 chunk)
{
	__u64 owner;

	if (!may_take(pool, chunk, &owner) || !owner)
		return -EBUSY;
	return swap_owner(pool, chunk, owner, 0);
}

int daxfs_row_publish(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 generation)
{
	struct daxfs_word *uses = &daxfs_slot_uses(pool, slot)[row / 64];
	__u64 building = daxfs_word_make(DAXFS_ROW_BUILDING, slot, generation);
	__u64 ready = daxfs_word_make(DAXFS_ROW_READY, 0, generation);

	if (!DAXFS_RULE(GENERATION_END))
		ready = daxfs_word_make(DAXFS_ROW_READY, 0, generation + 1);
	/*
	 * The swap is a release, so whoever sees ready sees the bit: pairs with the
	 * scan behind the fence in daxfs_collect().
	 */
	if (DAXFS_RULE(PUBLISH_USE))
		daxfs_store(uses, daxfs_load(uses) | (1ULL << (row % 64)));
	if (daxfs_cas(&pool->rows[row], building, ready) != building) {
		daxfs_use_drop(pool, slot, row);
		return -ESTALE;
	}
	daxfs_stored(pool->role, &pool->rows[row], sizeof(*uses), DAXFS_RULE(READY_WRITE));
	if (!DAXFS_RULE(PUBLISH_USE))
		daxfs_store(uses, daxfs_load(uses) | (1ULL << (row % 64)));
	return 0;
}

int daxfs_row_abandon(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 generation)
{
	__u64 building = daxfs_word_make(DAXFS_ROW_BUILDING, slot, generation);
	__u64 ended = daxfs_word_make(DAXFS_ROW_RECLAIMING, slot,
				      (generation + 1) & DAXFS_GENERATION_MASK);

	if (daxfs_cas(&pool->rows[row], building, ended) != building)
		return -ESTALE;
	daxfs_reclaim(pool, row, ended);
	return 0;
}
