/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/**
 * DOC: objects that many hosts share
 *
 * The life of an object in a pool, as steps over shared words: docs/pool.md has
 * the table of states and the rules, each with the test that needs it. The
 * functions neither allocate, nor sleep, nor print, and every loop is bounded by
 * a number of the view or by DAXFS_POOL_TRIES.
 *
 * A slot's functions are called under one lock of that participant: it writes its
 * own use words by load and store, and runs one collection of a row at a time.
 * Row, slot, chunk and hold numbers must be below the view's counts.
 */
#ifndef DAXFS_POOL_H
#define DAXFS_POOL_H

#include "daxfs/atomic.h"
#include "daxfs/pool_layout.h"
#include "daxfs/pool_words.h"
#include "pool_rules.h"

#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#include <stddef.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* How often a step is tried again when others keep changing the word. */
#define DAXFS_POOL_TRIES	4

/*
 * What the words of a view are to this host. Without coherence between hosts each one has a
 * partition of its own, which it alone writes: its stores are written back there, and what
 * it reads of another's is read anew. docs/pool.md, "Without coherence".
 */
enum daxfs_role {
	DAXFS_ROLE_SHARED,	/* of all hosts, coherent */
	DAXFS_ROLE_HOME,	/* of this host's partition */
	DAXFS_ROLE_FAR,		/* of another's; never written */
};

/* Load a word that another host may be the one to write. */
static inline __u64 daxfs_load_anew(enum daxfs_role role, const struct daxfs_word *word, int rule)
{
	if (role == DAXFS_ROLE_FAR && rule)
		daxfs_refresh(word, sizeof(*word));
	return daxfs_load(word);
}

/* What was stored to words of a partition of one's own is for others to see. */
static inline void daxfs_stored(enum daxfs_role role, const void *bytes, __u64 length, int rule)
{
	if (role == DAXFS_ROLE_HOME && rule)
		daxfs_write_back(bytes, length);
}

/* Bytes that are about to be said to be there: their order, and without coherence their place. */
static inline void daxfs_bytes_written(enum daxfs_role role, const void *bytes, __u64 length)
{
	if (role == DAXFS_ROLE_SHARED)
		daxfs_publish(bytes, length);
	else
		daxfs_write_back(bytes, length);
}

/* Bytes that were said to be there. */
static inline void daxfs_bytes_anew(enum daxfs_role role, const void *bytes, __u64 length)
{
	if (role == DAXFS_ROLE_FAR)
		daxfs_refresh(bytes, length);
}

/**
 * struct daxfs_index - a hash table of aliases: buckets of 8 rows, two of them for each key
 * @words: the rows' words, a line a bucket; behind the buckets @overflow rows
 * @bodies: @body_words words a row
 * @overflow_used: how many overflow rows were ever used; a look-up reads so many
 * @seed: mixed into keys, so that nobody outside can choose a bucket
 */
struct daxfs_index {
	struct daxfs_word *words;
	struct daxfs_word *bodies;
	struct daxfs_word *overflow_used;
	__u32 body_words;
	__u32 buckets;		/* a power of two */
	__u32 overflow;
	__u64 seed[2];
	enum daxfs_role role;	/* that of the pool */
};

/**
 * struct daxfs_pool - where the words of a pool are in this address space
 * @rows: state word of each row
 * @slots: state word of each participant
 * @uses: @use_words words a slot, for the rows of each partition
 * @owners: an owner word for each chunk; 0 is free
 * @granules: DAXFS_CHUNK_GRANULES owner words a chunk, of meaning while it is split
 * @hold_states, @hold_targets: one each a hold
 * @aliases, @names: who is found by what; names are unique
 * @role: SHARED, unless the pool is partitioned
 * @partition, @partition_count: 0 of 1, unless it is
 * @partitions: the views of all partitions, by number, or NULL; this one is its role's HOME
 * @stated: a word a partition: the incarnation of that host which this one states to be off;
 *	at its own number its own. Without partitions nobody reads it.
 *
 * What follows is beside the words: records, written by whoever has claimed the word.
 *
 * @contention: DAXFS_CONTENTION_COUNT numbers in this participant's own memory, or NULL
 */
struct daxfs_pool {
	struct daxfs_word *rows;
	struct daxfs_word *slots;
	struct daxfs_word *uses;
	struct daxfs_word *owners;
	struct daxfs_word *granules;
	struct daxfs_word *hold_states;
	struct daxfs_word *hold_targets;
	struct daxfs_word *hosts;
	struct daxfs_word *stated;
	const struct daxfs_pool *partitions;
	enum daxfs_role role;
	__u32 partition;
	__u32 partition_count;
	__u32 row_count;
	__u32 slot_count;
	__u32 use_words;	/* at least (row_count + 63) / 64 */
	__u32 owner_count;
	__u32 granule_count;	/* owner_count * DAXFS_CHUNK_GRANULES; 0 where nothing is split */
	__u32 hold_count;
	__u32 host_count;
	struct daxfs_index aliases;
	struct daxfs_index names;

	daxfs_le32 *links;	/* the next chunk of the same row, DAXFS_NO_CHUNK at its end */
	struct daxfs_pool_host *host_records;
	struct daxfs_pool_slot *slot_records;
	struct daxfs_pool_row *row_records;
	struct daxfs_pool_hold *hold_records;

	__u64 *contention;
};

static inline void daxfs_contended(const struct daxfs_pool *pool, enum daxfs_contention what)
{
	if (pool->contention)
		pool->contention[what]++;
}

/* Words of a slot's uses, of all partitions' rows. */
static inline __u32 daxfs_slot_words(const struct daxfs_pool *pool)
{
	return pool->use_words * pool->partition_count;
}

/* The use words of @slot for rows of @home; all slots together may have more than 2^32. */
static inline struct daxfs_word *daxfs_uses_of(const struct daxfs_pool *pool, __u32 slot,
					       const struct daxfs_pool *home)
{
	__u64 before = slot;

	before = before * pool->partition_count + home->partition;
	return pool->uses + before * pool->use_words;
}

/* The same for rows of its own partition, which are all rows without partitions. */
static inline struct daxfs_word *daxfs_slot_uses(const struct daxfs_pool *pool, __u32 slot)
{
	return daxfs_uses_of(pool, slot, pool);
}

static inline __u64 daxfs_word_make(__u32 state, __u32 slot, __u64 generation)
{
	__u64 wide_slot = slot;

	return state | (wide_slot << DAXFS_WORD_SLOT_SHIFT) |
	       (generation << DAXFS_WORD_GENERATION_SHIFT);
}

static inline __u32 daxfs_word_state(__u64 word)
{
	return word & ((1U << DAXFS_WORD_STATE_BITS) - 1);
}

static inline __u32 daxfs_word_slot(__u64 word)
{
	return (word >> DAXFS_WORD_SLOT_SHIFT) & DAXFS_SLOT_MAX;
}

/* Of an attached slot: is it a kernel's? */
static inline int daxfs_slot_is_kernel(__u64 word)
{
	return (word >> (DAXFS_WORD_SLOT_SHIFT + DAXFS_WORD_SLOT_BITS)) & 1;
}

static inline __u64 daxfs_word_generation(__u64 word)
{
	return word >> DAXFS_WORD_GENERATION_SHIFT;
}

/* Words of one slot's uses: a bit a row. */
static inline __u32 daxfs_use_words(__u32 row_count)
{
	return (row_count + 63) / 64;
}

/* What names (row, generation) in owner words and holds; never 0. */
static inline __u64 daxfs_reference(__u32 row, __u64 generation)
{
	__u64 row_field = row + 1;

	return row_field | (generation << DAXFS_WORD_GENERATION_SHIFT);
}

/* What a hold or an alias names. It may be of another partition: rows are numbered through all. */
static inline __u64 daxfs_target(const struct daxfs_pool *home, __u32 row, __u64 generation)
{
	return daxfs_reference(home->partition * home->row_count + row, generation);
}

/* The row a reference other than 0 names; from 0, or from damage, one beyond every table. */
static inline __u32 daxfs_reference_row(__u64 reference)
{
	__u32 row_field = reference & (DAXFS_ROW_MAX + 1);

	return row_field - 1;
}

/* The partition that a target is of, and its row there; NULL for what is no row of this pool. */
static inline const struct daxfs_pool *daxfs_target_home(const struct daxfs_pool *pool,
							 __u64 target, __u32 *row)
{
	__u32 number = daxfs_reference_row(target);
	__u32 partition = number / pool->row_count;

	*row = number % pool->row_count;
	if (partition == pool->partition)
		return pool;
	if (partition >= pool->partition_count || !pool->partitions)
		return NULL;
	return &pool->partitions[partition];
}

/*
 * Does @reference name a life that is over? @row_word was read behind the reference (an
 * acquire): who builds claims the row before he names it, so who sees the name sees that life.
 */
static inline int daxfs_is_orphan(__u64 reference, __u64 row_word)
{
	return daxfs_word_generation(reference) != daxfs_word_generation(row_word) ||
	       daxfs_word_state(row_word) == DAXFS_ROW_FREE;
}

static inline __u64 daxfs_owner_merging(__u32 slot)
{
	__u64 wide_slot = slot;

	return DAXFS_OWNER_MERGING | (wide_slot << DAXFS_OWNER_MERGER_SHIFT);
}

/* Does that owner word of a chunk leave it to the granules' own? Also while one looks at them. */
static inline int daxfs_owner_is_split(__u64 owner)
{
	__u64 merger = daxfs_owner_merging(DAXFS_SLOT_MAX) ^ DAXFS_OWNER_MERGING;

	return owner == DAXFS_OWNER_SPLIT || (owner & ~merger) == DAXFS_OWNER_MERGING;
}

/**
 * daxfs_row_claim() - begin a life: free -> building(@slot)
 * Return: 0 with @generation; -EBUSY the row is not free, or was just taken.
 */
int daxfs_row_claim(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 *generation);

/**
 * daxfs_chunk_take() - make a free or orphaned chunk that of a row being built
 * Return: 0; -EBUSY it has an owner, or was just taken.
 */
int daxfs_chunk_take(const struct daxfs_pool *pool, __u32 chunk, __u32 row, __u64 generation);

/** daxfs_chunk_give_back() - a builder does not need @chunk after all */
void daxfs_chunk_give_back(const struct daxfs_pool *pool, __u32 chunk, __u32 row,
			   __u64 generation);

/**
 * daxfs_chunk_split() - a free or orphaned chunk from now on holds granules
 * Return: 0; -EBUSY it has an owner, or was just taken.
 */
int daxfs_chunk_split(const struct daxfs_pool *pool, __u32 chunk);

/**
 * daxfs_granules_take() - make @count granules from @first on those of a row being built
 * All in one split chunk, each free or an orphan; all or none. Behind the last one the
 * chunk is looked at again, behind a full fence: pairs with that in daxfs_chunk_merge().
 * Return: 0; -EBUSY; -EINVAL not in one chunk.
 */
int daxfs_granules_take(const struct daxfs_pool *pool, __u32 first, __u32 count, __u32 row,
			__u64 generation);

/**
 * daxfs_chunk_merge() - a split chunk without a granule in use is a free chunk again
 * Frees orphans among its granules on the way.
 * Return: 0; -EBUSY a granule has an owner; -ENOENT it is not split; -EAGAIN it just changed.
 */
int daxfs_chunk_merge(const struct daxfs_pool *pool, __u32 slot, __u32 chunk);

/** daxfs_chunk_free_orphan() - free a chunk whose owner's life is over. Return: 0; -EBUSY */
int daxfs_chunk_free_orphan(const struct daxfs_pool *pool, __u32 chunk);

/**
 * daxfs_chunk_remove() - a free or orphaned chunk is absent from now on: its memory may go
 * Return: 0; -EBUSY it has an owner, holds granules, or is absent.
 */
int daxfs_chunk_remove(const struct daxfs_pool *pool, __u32 chunk);

/** daxfs_chunk_add() - an absent chunk whose memory is there is free. Return: 0; -ENOENT */
int daxfs_chunk_add(const struct daxfs_pool *pool, __u32 chunk);

/**
 * daxfs_row_publish() - building(@slot) -> ready; the builder has a use of it from then on
 * All bytes are written and daxfs_publish()ed before.
 * Return: 0; -ESTALE the row was swept (a fence that stated what was not so).
 */
int daxfs_row_publish(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 generation);

/** daxfs_row_abandon() - building(@slot) -> free, its chunks with it. Return: 0; -ESTALE */
int daxfs_row_abandon(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 generation);

/**
 * daxfs_use_take() - a reference that dies with @slot
 * For the first user of @row behind @slot, who has no use of it yet; later ones are
 * counted by the participant. The caller compares the object's digest behind it.
 * Return: 0; -ENOENT there is no such object (any more); -EAGAIN too much was going on.
 */
int daxfs_use_take(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 generation);

/** daxfs_use_drop() - the last user of @row behind @slot has gone */
void daxfs_use_drop(const struct daxfs_pool *pool, __u32 slot, __u32 row);

/**
 * daxfs_far_use_take() - the same of a row of another host's partition
 * @pool: of this host, role HOME; @home: that partition, role FAR
 * The bit is written back, then the row is read anew: pairs with daxfs_collect() there. Nobody
 * rescues in another's partition, so what is dying counts as gone. Behind it the caller
 * refreshes the object's bytes before it reads any: its host's caches may have those of an
 * earlier object.
 * Return: 0; -ENOENT.
 */
int daxfs_far_use_take(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_pool *home,
		       __u32 row, __u64 generation);

/** daxfs_far_use_drop() - the last user of that row behind @slot has gone */
void daxfs_far_use_drop(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_pool *home,
			__u32 row);

/** daxfs_target_take() - a use of what a hold or an alias names, in whichever partition it is */
int daxfs_target_take(const struct daxfs_pool *pool, __u32 slot, __u64 target);

/** daxfs_target_drop() - the last user of that behind @slot has gone */
void daxfs_target_drop(const struct daxfs_pool *pool, __u32 slot, __u64 target);

/** struct daxfs_hold_note - what a hold is for. @name: @length bytes, at most 192 */
struct daxfs_hold_note {
	__u64 created;		/* seconds since 1970 */
	__u32 kind;		/* DAXFS_HOLD_* */
	__u32 length;
	const char *name;
};

/**
 * daxfs_hold_take() - a reference that survives its taker, in hold row @hold
 * It belongs to the host of @slot from then on. @note may be NULL where there are no records.
 * @home: whose row it is: @pool, or another host's partition
 * @word: what daxfs_hold_drop() wants
 * Return: 0; -EBUSY the hold row is not free; -ENOENT, -EAGAIN as daxfs_use_take().
 */
int daxfs_hold_take(const struct daxfs_pool *pool, __u32 slot, __u32 hold,
		    const struct daxfs_pool *home, __u32 row, __u64 generation,
		    const struct daxfs_hold_note *note, __u64 *word);

/** daxfs_hold_drop() - free a valid hold whose word is @word. Return: 0; -ENOENT it has changed */
int daxfs_hold_drop(const struct daxfs_pool *pool, __u32 hold, __u64 word);

/**
 * daxfs_collect() - free @row and its chunks, if nobody refers to it
 * Goes on with another's dying too.
 * Return: 0 freed; -EBUSY in use, now ready; -EAGAIN another took over; -ENOENT not ready.
 */
int daxfs_collect(const struct daxfs_pool *pool, __u32 slot, __u32 row);

/** daxfs_collect_from() - private to core: daxfs_collect() of a row whose word was @word */
int daxfs_collect_from(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 word);

/** daxfs_reclaim() - private to core: free what reclaiming(@slot) @word of @row still has */
void daxfs_reclaim(const struct daxfs_pool *pool, __u32 row, __u64 word);

/** daxfs_granules_reclaim() - private to core: granules of @chunk of earlier lives of @row */
void daxfs_granules_reclaim(const struct daxfs_pool *pool, __u32 chunk, __u32 row,
			    __u64 generation);

/** daxfs_merges_sweep() - private to core: what the dead participant was merging is split */
void daxfs_merges_sweep(const struct daxfs_pool *pool, __u32 dead);

/**
 * daxfs_far_confirm() - private to core: the second look of a reference that is in memory
 * Return: 0 the object is still there; -ENOENT, dying or gone.
 */
int daxfs_far_confirm(const struct daxfs_pool *home, __u32 row, __u64 generation);

/**
 * daxfs_far_referenced() - private to core: does another host refer to (@row, @generation)?
 * Hosts that somebody has stated to be off do not count.
 */
int daxfs_far_referenced(const struct daxfs_pool *pool, __u32 row, __u64 generation);

/**
 * daxfs_partition_begin() - this host takes part in its partition
 * Whoever stated that it was off counts none of its references of that life: it begins the
 * next one. What it held in other partitions may have gone meanwhile.
 * Return: the life it is in; 0 without partitions.
 */
__u64 daxfs_partition_begin(const struct daxfs_pool *pool);

/** daxfs_partition_over() - has that life of this host been stated to be over? */
int daxfs_partition_over(const struct daxfs_pool *pool, __u64 life);

/**
 * daxfs_partition_off() - state that the host of @partition can no longer reach the memory
 * All hosts' collectors read it. Its own objects stay; they can be read and not collected.
 */
void daxfs_partition_off(const struct daxfs_pool *pool, __u32 partition);

/** daxfs_partition_is_off() - has somebody stated that, of the life that host is in? */
int daxfs_partition_is_off(const struct daxfs_pool *pool, __u32 partition);

#ifdef __cplusplus
}
#endif

#endif /* DAXFS_POOL_H */
