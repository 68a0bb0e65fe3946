// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Chunks that are split into granules, and back. */
#include "bytes.h"
#include "pool.h"

/* Reads the owner word of @granule; 1 if it may be swapped from @owner: free, or an orphan. */
static int may_take(const struct daxfs_pool *pool, __u32 granule, __u64 *owner)
{
	__u32 row;

	*owner = daxfs_load(&pool->granules[granule]);
	if (!*owner)
		return 1;
	row = daxfs_reference_row(*owner);
	return row < pool->row_count && daxfs_is_orphan(*owner, daxfs_load(&pool->rows[row]));
}

static int swap_owner(const struct daxfs_pool *pool, __u32 granule, __u64 from, __u64 to)
{
	if (!DAXFS_RULE(FREE_EXACT)) {
		daxfs_store(&pool->granules[granule], to);
		return 0;
	}
	return daxfs_cas(&pool->granules[granule], from, to) == from ? 0 : -EBUSY;
}

static int take(const struct daxfs_pool *pool, __u32 granule, __u64 to)
{
	__u64 owner;
	int error;

	if (!may_take(pool, granule, &owner))
		return -EBUSY;
	error = swap_owner(pool, granule, owner, to);
	if (error)
		daxfs_contended(pool, DAXFS_CONTENTION_GRANULES);
	return error;
}

static int free_orphan(const struct daxfs_pool *pool, __u32 granule)
{
	__u64 owner;

	if (!may_take(pool, granule, &owner))
		return -EBUSY;
	return owner ? swap_owner(pool, granule, owner, 0) : 0;
}

static void give_back(const struct daxfs_pool *pool, __u32 first, __u32 count, __u64 owner)
{
	__u32 i;

	for (i = 0; i < count; i++)
		daxfs_cas(&pool->granules[first + i], owner, 0);
}

int daxfs_granules_take(const struct daxfs_pool *pool, __u32 first, __u32 count, __u32 row,
			__u64 generation)
{
	const struct daxfs_word *chunk = &pool->owners[first / DAXFS_CHUNK_GRANULES];
	__u64 owner = daxfs_reference(row, generation);
	__u32 taken;

	if (!count || count > DAXFS_CHUNK_GRANULES - first % DAXFS_CHUNK_GRANULES)
		return -EINVAL;
	if (daxfs_load(chunk) != DAXFS_OWNER_SPLIT)
		return -EBUSY;
	for (taken = 0; taken < count; taken++)
		if (take(pool, first + taken, owner))
			break;
	/*
	 * Pairs with the fence in daxfs_chunk_merge(): whoever merges sees these granules,
	 * or this sees that it is no longer split.
	 */
	if (DAXFS_RULE(GRANULE_FENCE))
		daxfs_fence();
	if (taken == count &&
	    (!DAXFS_RULE(GRANULE_RECHECK) || daxfs_load(chunk) == DAXFS_OWNER_SPLIT))
		return 0;
	give_back(pool, first, taken, owner);
	return -EBUSY;
}

int daxfs_chunk_merge(const struct daxfs_pool *pool, __u32 slot, __u32 chunk)
{
	struct daxfs_word *word = &pool->owners[chunk];
	__u64 merging = daxfs_owner_merging(slot);
	__u32 i;

	if (daxfs_load(word) != DAXFS_OWNER_SPLIT)
		return -ENOENT;
	if (daxfs_cas(word, DAXFS_OWNER_SPLIT, merging) != DAXFS_OWNER_SPLIT)
		return -EAGAIN;
	/* Pairs with the fence in daxfs_granules_take(). */
	if (DAXFS_RULE(MERGE_FENCE))
		daxfs_fence();
	for (i = 0; i < DAXFS_CHUNK_GRANULES; i++) {
		if (!free_orphan(pool, chunk * DAXFS_CHUNK_GRANULES + i))
			continue;
		daxfs_cas(word, merging, DAXFS_OWNER_SPLIT);
		return -EBUSY;
	}
	return daxfs_cas(word, merging, 0) == merging ? 0 : -EAGAIN;
}

void daxfs_granules_reclaim(const struct daxfs_pool *pool, __u32 chunk, __u32 row,
			    __u64 generation)
{
	__u32 first = chunk * DAXFS_CHUNK_GRANULES;
	__u32 i;

	for (i = 0; i < DAXFS_CHUNK_GRANULES; i++) {
		__u64 owner = daxfs_load(&pool->granules[first + i]);

		if (daxfs_reference_row(owner) == row && daxfs_word_generation(owner) != generation)
			swap_owner(pool, first + i, owner, 0);
	}
}

void daxfs_merges_sweep(const struct daxfs_pool *pool, __u32 dead)
{
	__u64 merging = daxfs_owner_merging(dead);
	__u32 chunks = pool->granule_count / DAXFS_CHUNK_GRANULES;
	__u32 i;

	for (i = 0; i < chunks; i++)
		if (daxfs_load(&pool->owners[i]) == merging)
			daxfs_cas(&pool->owners[i], merging, DAXFS_OWNER_SPLIT);
}
