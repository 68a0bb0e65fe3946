/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/**
 * DOC: finding objects
 *
 * An alias row is a word and a body. The word is {state, slot or tag, sequence}, and the
 * sequence grows at every change; the body changes only while the word says claimed or
 * moving, by whoever the word names. A look-up reads word, key, kind, target and the word
 * again: identical, or it reads that row anew (a bounded number of times).
 *
 * A row whose target's life is over is an orphan: no look-up finds it, and whoever inserts
 * may take it by swap from exactly that word. So nobody has to remove the aliases of what
 * he collects. Two rows with one key are harmless but for names, which are unique: the
 * ready one in the smallest position counts.
 */
#ifndef DAXFS_POOL_INDEX_H
#define DAXFS_POOL_INDEX_H

#include "pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** struct daxfs_key - what is looked for: a digest as little-endian numbers, and DAXFS_ALIAS_* */
struct daxfs_key {
	__u64 digest[4];
	__u32 kind;
};

/** struct daxfs_alias - a row that was found; @word is exactly what remove and flip go from */
struct daxfs_alias {
	__u64 word;
	__u64 target;
	__u32 position;
};

/**
 * struct daxfs_alias_extra - what else an alias says, stored with it
 * @parent: the first 16 bytes of the parent chain; 0 if there is none
 * @text: @length bytes of a name; only in a table with bodies of DAXFS_NAME_WORDS
 */
struct daxfs_alias_extra {
	__u64 parent[2];
	const char *text;
	__u32 length;
};

/** daxfs_key_make() - from 32 bytes of digest */
void daxfs_key_make(struct daxfs_key *key, __u32 kind, const __u8 *digest);

/** daxfs_index_rows() - rows of a table, overflow included; positions are below it */
__u32 daxfs_index_rows(const struct daxfs_index *index);

/**
 * daxfs_index_find() - the next row with @key whose target lives, in a position >= @from
 * Committed and moving rows count; a target being built lives too.
 * Return: 0 with @alias; -ENOENT; -EAGAIN a row would not hold still.
 */
int daxfs_index_find(const struct daxfs_pool *pool, const struct daxfs_index *index,
		     const struct daxfs_key *key, __u32 from, struct daxfs_alias *alias);

/**
 * daxfs_object_find() - the ready object in the smallest position, with a use of it taken
 * For the first user behind @slot of that row, as daxfs_use_take(); rows of which @slot
 * already has a use are found just the same and set *@had.
 * @home: where it is looked for, and @index's pool: @pool, or another host's partition
 * Return: 0 with @alias; -ENOENT; -EAGAIN.
 */
int daxfs_object_find(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_pool *home,
		      const struct daxfs_index *index, const struct daxfs_key *key,
		      struct daxfs_alias *alias, int *had);

/**
 * daxfs_row_publish_or_adopt() - the end of a build: a ready object with @key, or one's own
 * Looks for the other before publication: behind it both builders could find each other,
 * and a reader one's own. An object found is left with a use of it, as daxfs_object_find()
 * does, and @row is free.
 * Return: 0 published; -EEXIST adopted, with @alias and *@had; -ESTALE as daxfs_row_publish().
 */
int daxfs_row_publish_or_adopt(const struct daxfs_pool *pool, const struct daxfs_index *index,
			       __u32 slot, __u32 row, __u64 generation,
			       const struct daxfs_key *key, struct daxfs_alias *alias, int *had);

/**
 * daxfs_index_insert() - an alias that need not be unique
 * Goes into the emptier of its two buckets, else into the overflow rows.
 * Return: 0 with @alias; -ENOSPC; -EINVAL a text that is too long, or for which there is
 * no room; -ESTALE it was swept meanwhile (a fence that stated what was not so).
 */
int daxfs_index_insert(const struct daxfs_pool *pool, const struct daxfs_index *index,
		       __u32 slot, const struct daxfs_key *key, __u64 target,
		       const struct daxfs_alias_extra *extra, struct daxfs_alias *alias);

/**
 * daxfs_index_insert_unique() - an alias no other may have
 * Tentative, full fence, scan: a committed one wins; of tentative ones the smaller
 * position. Who loses against a tentative one gets -EAGAIN, waits a random bounded time
 * and tries again; with @force it frees that one by swap instead.
 * A committed one that names what is gone is none: it is freed on the way.
 * Return: 0 with @alias; -EEXIST with @alias the other one; -EAGAIN; -ENOSPC; -EINVAL.
 */
int daxfs_index_insert_unique(const struct daxfs_pool *pool, const struct daxfs_index *index,
			      __u32 slot, const struct daxfs_key *key, __u64 target,
			      const struct daxfs_alias_extra *extra, int force,
			      struct daxfs_alias *alias);

/**
 * daxfs_index_flip() - a committed alias points to another object from now on
 * Swap to moving, check that the target is still alias->target, store, commit.
 * Return: 0 with @alias renewed; -ESTALE it has changed since it was found; -EBUSY it moves.
 */
int daxfs_index_flip(const struct daxfs_index *index, __u32 slot, struct daxfs_alias *alias,
		     __u64 target);

/** daxfs_index_remove() - free a row that was found. Return: 0; -ESTALE it has changed, or moves */
int daxfs_index_remove(const struct daxfs_index *index, const struct daxfs_alias *alias);

/**
 * daxfs_index_read() - what row @position says, whatever its state; for people and checks
 * @words: index->body_words words, filled
 * Return: its word, read before and after the body; 0 if it would not hold still.
 */
__u64 daxfs_index_read(const struct daxfs_index *index, __u32 position, __u64 *words);

/**
 * daxfs_index_sweep() - what the dead participant left: claimed and tentative rows are
 * free, moving ones are committed to whichever target they have
 */
void daxfs_index_sweep(const struct daxfs_index *index, __u32 dead);

#ifdef __cplusplus
}
#endif

#endif /* DAXFS_POOL_INDEX_H */
