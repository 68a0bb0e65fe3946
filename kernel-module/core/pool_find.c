// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* From a key to an object with a use of it. */
#include "pool_index.h"

void daxfs_key_make(struct daxfs_key *key, __u32 kind, const __u8 *digest)
{
	int i;

	key->kind = kind;
	for (i = 0; i < 4; i++)
		key->digest[i] = 0;
	for (i = 0; i < DAXFS_DIGEST_SIZE; i++)
		key->digest[i / 8] |= (__u64)digest[i] << (i % 8 * 8);
}

__u32 daxfs_index_rows(const struct daxfs_index *index)
{
	return index->buckets * DAXFS_BUCKET_ROWS + index->overflow;
}

static int has_use(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_pool *home,
		   __u32 row)
{
	return (daxfs_load(&daxfs_uses_of(pool, slot, home)[row / 64]) >> (row % 64)) & 1;
}

void daxfs_target_drop(const struct daxfs_pool *pool, __u32 slot, __u64 target)
{
	__u32 row;
	const struct daxfs_pool *home = daxfs_target_home(pool, target, &row);

	if (home == pool)
		daxfs_use_drop(pool, slot, row);
	else
		daxfs_far_use_drop(pool, slot, home, row);
}

int daxfs_target_take(const struct daxfs_pool *pool, __u32 slot, __u64 target)
{
	__u64 generation = daxfs_word_generation(target);
	__u32 row;
	const struct daxfs_pool *home = daxfs_target_home(pool, target, &row);

	if (!home)
		return -ENOENT;
	return home == pool ? daxfs_use_take(pool, slot, row, generation) :
			      daxfs_far_use_take(pool, slot, home, row, generation);
}

/* -ENOENT: it is gone; -EBUSY: it is not there yet. */
static int refer(const struct daxfs_pool *pool, __u32 slot, __u64 target, int *had)
{
	__u32 row;
	const struct daxfs_pool *home = daxfs_target_home(pool, target, &row);
	__u64 word = daxfs_load(&home->rows[row]);

	if (daxfs_word_generation(word) != daxfs_word_generation(target))
		return -ENOENT;
	if (daxfs_word_state(word) == DAXFS_ROW_BUILDING)
		return -EBUSY;
	*had = has_use(pool, slot, home, row);
	if (*had)	/* so its life goes on, whoever looks whether it may end */
		return 0;
	return daxfs_target_take(pool, slot, target);
}

int daxfs_object_find(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_pool *home,
		      const struct daxfs_index *index, const struct daxfs_key *key,
		      struct daxfs_alias *alias, int *had)
{
	int missed = -ENOENT;
	__u32 from = 0;
	int lost = 0;
	int error;

	for (;;) {
		error = daxfs_index_find(home, index, key, from, alias);
		if (error)
			return error == -ENOENT ? missed : error;
		error = refer(pool, slot, alias->target, had);
		/* Did the alias name that object still, when the use was there? */
		if (daxfs_load(&index->words[alias->position]) == alias->word) {
			if (!error)
				return 0;
		} else {
			if (!error && !*had)
				daxfs_target_drop(pool, slot, alias->target);
			error = -ENOENT;
		}
		from = alias->position + 1;
		if (error == -EBUSY)
			continue;
		daxfs_contended(pool, DAXFS_CONTENTION_LOOKS);
		/* What was found has gone: another may have come, anywhere. */
		if (!DAXFS_RULE(FIND_AGAIN))
			continue;
		if (++lost < DAXFS_POOL_TRIES)
			from = 0;
		else
			missed = -EAGAIN;
	}
}

int daxfs_row_publish_or_adopt(const struct daxfs_pool *pool, const struct daxfs_index *index,
			       __u32 slot, __u32 row, __u64 generation,
			       const struct daxfs_key *key, struct daxfs_alias *alias, int *had)
{
	int error;

	if (daxfs_object_find(pool, slot, pool, index, key, alias, had))
		return daxfs_row_publish(pool, slot, row, generation);
	error = daxfs_row_abandon(pool, slot, row, generation);
	if ((error || !DAXFS_RULE(ADOPT_USE)) && !*had)
		daxfs_target_drop(pool, slot, alias->target);
	return error ? error : -EEXIST;
}
