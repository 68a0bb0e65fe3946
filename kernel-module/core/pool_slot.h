/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The life of a participant: how it begins and ends, and how what a dead one left is undone. */
#ifndef DAXFS_POOL_SLOT_H
#define DAXFS_POOL_SLOT_H

#include "pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Beside the host's number in an attached slot: the participant is that host's kernel. */
#define DAXFS_HOST_KERNEL	0x10000U

/**
 * struct daxfs_attacher - who attaches
 * @host: the number that daxfs_host_join() gave, and DAXFS_HOST_KERNEL for a kernel
 * @key: from there, too
 * @lock: the mark of the file whose lock the caller holds as long as it lives; 0: none. In the
 *	record the lower half is mixed with the incarnation: no mark comes back
 */
struct daxfs_attacher {
	__u32 host;
	__u64 key;
	__u64 lock;
};

/**
 * daxfs_attach() - free -> attached(its host); look-ups may follow
 * @word: the slot's word, as long as it is the caller's
 * Return: 0; -EBUSY; -ESTALE that host has been stated to be off: join again
 */
int daxfs_attach(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_attacher *who,
		 __u64 *word);

/**
 * daxfs_detach() - an orderly end: attached -> free, in the next incarnation
 * Requires: nothing is being built, collected or claimed under @slot; its uses go with it.
 */
void daxfs_detach(const struct daxfs_pool *pool, __u32 slot);

/**
 * daxfs_mark_dead() - attached, as @word says -> dead; what @slot left is for anyone to sweep
 * Requires: its life is over, seen by a proof or stated. Return: 0; -ESTALE it has changed.
 */
int daxfs_mark_dead(const struct daxfs_pool *pool, __u32 slot, __u64 word);

/**
 * daxfs_prove_dead() - daxfs_mark_dead() by who holds the lock that the participant would hold
 * @word: names the caller's host
 * @who: the caller, with the mark of that lock. The record of one that died while it attached may
 *	not name a lock yet.
 * Return: 0; -ESTALE it has changed, or the number is another host's; -EPERM it has another lock
 * of this boot; -EBUSY it is attaching, or another proves the same.
 */
int daxfs_prove_dead(const struct daxfs_pool *pool, __u32 slot, __u64 word,
		     const struct daxfs_attacher *who);

/**
 * daxfs_succeed() - dead -> attached(its host), in the next incarnation; what the dead one left is
 * swept as the caller's own. For who finds no slot free, and so none to sweep from.
 * @word, return: as of daxfs_attach()
 * Requires: the caller holds the lock before it looks, and takes no reference meanwhile.
 */
int daxfs_succeed(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_attacher *who,
		  __u64 *word);

/**
 * daxfs_contention_write() - what the participant in @slot has counted so far
 * Its sums of all time are those of its host's that have gone and of those that are there.
 */
void daxfs_contention_write(const struct daxfs_pool *pool, __u32 slot, const __u64 *counts);
void daxfs_contention_read(const struct daxfs_pool *pool, __u32 slot, __u64 *counts);

/** daxfs_contention_gone() - of all participants of @host that have gone; 2^32 - 1: or more */
void daxfs_contention_gone(const struct daxfs_pool *pool, __u32 host, __u64 *counts);

/*
 * A host's key: a hash of its id in bits 16-63, not 0 if the number is a host's; in bits 1-15 how
 * often the number was given back, so that no key comes back; bit 0 until it is being ended.
 */
static inline __u64 daxfs_key_staying(__u64 key)
{
	return key | 1;
}

static inline __u64 daxfs_key_leaving(__u64 key)
{
	return key & ~1ULL;
}

static inline int daxfs_key_is_free(__u64 key)
{
	return !(key >> 16);
}

/**
 * daxfs_fence_host() - @host is stated to be off: its slots are dead, its holds free, and its
 * number is another's
 * @key: its word, as it was seen; also of one that somebody began to end, and died
 * For anybody, also without a slot; what is dead then is for anyone to sweep who has one.
 * Return: 0; -ESTALE the number is not that host's, or it was just leaving and stays.
 */
int daxfs_fence_host(const struct daxfs_pool *pool, __u32 host, __u64 key);

/**
 * daxfs_sweep() - undo what the dead participant @dead left, and set its slot free
 * One that is attached under a number that is no host's is dead.
 * What @dead was sweeping itself is dead again behind that, for anyone to sweep.
 * Return: 0; -EBUSY another sweeps it; -ENOENT it is not dead.
 */
int daxfs_sweep(const struct daxfs_pool *pool, __u32 slot, __u32 dead);

/**
 * daxfs_host_leave() - give back the number of a host whose id nobody will have again
 * Return: 0; -EBUSY it still has slots or holds; -ESTALE the number is not that host's.
 */
int daxfs_host_leave(const struct daxfs_pool *pool, __u32 host, __u64 key);

#ifdef __cplusplus
}
#endif

#endif /* DAXFS_POOL_SLOT_H */
