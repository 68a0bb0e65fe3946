// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Partitions: each host writes its own and reads the others', with no coherence between
 * hosts. Everything one host says to another is a word that one stores and writes back and
 * the other reads anew.
 */
#include "pool.h"

int daxfs_far_confirm(const struct daxfs_pool *home, __u32 row, __u64 generation)
{
	__u64 word = daxfs_load_anew(home->role, &home->rows[row], DAXFS_RULE(FAR_REFRESH));

	return word == daxfs_word_make(DAXFS_ROW_READY, 0, generation) ? 0 : -ENOENT;
}

int daxfs_far_use_take(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_pool *home,
		       __u32 row, __u64 generation)
{
	struct daxfs_word *uses = &daxfs_uses_of(pool, slot, home)[row / 64];
	int error = 0;

	if (!DAXFS_RULE(FAR_RECHECK))
		error = daxfs_far_confirm(home, row, generation);
	daxfs_store(uses, daxfs_load(uses) | (1ULL << (row % 64)));
	daxfs_stored(pool->role, uses, sizeof(*uses), DAXFS_RULE(FAR_USE_WRITE));
	/* Pairs with the fence in daxfs_collect() on the row's host. */
	if (DAXFS_RULE(FAR_FENCE))
		daxfs_fence();
	if (DAXFS_RULE(FAR_RECHECK))
		error = daxfs_far_confirm(home, row, generation);
	if (error)
		daxfs_far_use_drop(pool, slot, home, row);
	return error;
}

void daxfs_far_use_drop(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_pool *home,
			__u32 row)
{
	struct daxfs_word *uses = &daxfs_uses_of(pool, slot, home)[row / 64];

	daxfs_store(uses, daxfs_load(uses) & ~(1ULL << (row % 64)));
	daxfs_stored(pool->role, uses, sizeof(*uses), DAXFS_RULE(FAR_DROP_WRITE));
}

int daxfs_partition_is_off(const struct daxfs_pool *pool, __u32 partition)
{
	const struct daxfs_pool *other = &pool->partitions[partition];
	__u64 incarnation = daxfs_load_anew(other->role, &other->stated[other->partition],
					    DAXFS_RULE(LIFE_REFRESH));
	__u32 i;

	for (i = 0; i < pool->partition_count; i++) {
		const struct daxfs_pool *who = &pool->partitions[i];

		if (who != other &&
		    daxfs_load_anew(who->role, &who->stated[other->partition],
				    DAXFS_RULE(OFF_REFRESH)) >= incarnation)
			return 1;
	}
	return 0;
}

static int uses_far(const struct daxfs_pool *pool, const struct daxfs_pool *other, __u32 row)
{
	__u32 i;

	/* Of all slots: who is about to attach has not said so here. */
	for (i = 0; i < other->slot_count; i++) {
		__u64 uses = daxfs_load_anew(other->role,
					     &daxfs_uses_of(other, i, pool)[row / 64],
					     DAXFS_RULE(SCAN_USES));

		if ((uses >> (row % 64)) & 1)
			return 1;
	}
	return 0;
}

static int holds_far(const struct daxfs_pool *other, __u64 target)
{
	__u32 i;

	for (i = 0; i < other->hold_count; i++) {
		__u64 state = daxfs_load_anew(other->role, &other->hold_states[i],
					      DAXFS_RULE(SCAN_STATES));

		if (daxfs_word_state(state) == DAXFS_HOLD_VALID &&
		    daxfs_load_anew(other->role, &other->hold_targets[i],
				    DAXFS_RULE(SCAN_TARGETS)) == target)
			return 1;
	}
	return 0;
}

int daxfs_far_referenced(const struct daxfs_pool *pool, __u32 row, __u64 generation)
{
	__u64 target = daxfs_target(pool, row, generation);
	__u32 i;

	for (i = 0; i < pool->partition_count; i++) {
		const struct daxfs_pool *other = &pool->partitions[i];

		if (i == pool->partition || daxfs_partition_is_off(pool, i))
			continue;
		/* In this order, as in one's own partition: a hold may be taken under a use. */
		if (uses_far(pool, other, row) || holds_far(other, target))
			return 1;
	}
	return 0;
}

__u64 daxfs_partition_begin(const struct daxfs_pool *pool)
{
	struct daxfs_word *own = &pool->stated[pool->partition];
	__u64 stated = 0;
	__u64 life;
	__u32 i;

	if (pool->role == DAXFS_ROLE_SHARED)
		return 0;
	life = daxfs_load(own);

	for (i = 0; i < pool->partition_count; i++) {
		const struct daxfs_pool *who = &pool->partitions[i];
		__u64 off = daxfs_load_anew(who->role, &who->stated[pool->partition],
					    DAXFS_RULE(BEGIN_REFRESH));

		if (i != pool->partition && off > stated)
			stated = off;
	}
	/* A swap that fails was done by another participant of this host. */
	if (life <= stated)
		daxfs_cas(own, life, stated + 1);
	daxfs_stored(pool->role, own, sizeof(*own), DAXFS_RULE(LIFE_WRITE));
	return daxfs_load(own);
}

int daxfs_partition_over(const struct daxfs_pool *pool, __u64 life)
{
	return pool->role == DAXFS_ROLE_HOME &&
	       (daxfs_load(&pool->stated[pool->partition]) != life ||
		daxfs_partition_is_off(pool, pool->partition));
}

void daxfs_partition_off(const struct daxfs_pool *pool, __u32 partition)
{
	const struct daxfs_pool *other = &pool->partitions[partition];
	struct daxfs_word *word = &pool->stated[partition];

	daxfs_store(word, daxfs_load_anew(other->role, &other->stated[partition],
					  DAXFS_RULE(LIFE_STATED)));
	daxfs_stored(pool->role, word, sizeof(*word), DAXFS_RULE(OFF_WRITE));
}
