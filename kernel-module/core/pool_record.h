/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/**
 * DOC: the records beside a pool's words, as numbers
 *
 * Whoever has claimed a word writes its record; others read it while the word says that
 * it holds still, or look at the word again behind it. Texts are cut where they are too long.
 */
#ifndef DAXFS_POOL_RECORD_H
#define DAXFS_POOL_RECORD_H

#include "pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** struct daxfs_object_info - a row's record as numbers; of meaning only while the row is stable */
struct daxfs_object_info {
	__u64 size;
	__u64 created;
	__u64 used;
	__u64 progress;
	__u32 kind;
	__u32 first;
	__u32 chunk_count;
	__u32 granule_count;
	__u8 digest[DAXFS_DIGEST_SIZE];
};

/** daxfs_object_write() - by the builder, before publication */
void daxfs_object_write(const struct daxfs_pool *pool, __u32 row,
			const struct daxfs_object_info *object);

/** daxfs_object_read() - under a use, or followed by a second look at the row's word */
void daxfs_object_read(const struct daxfs_pool *pool, __u32 row, struct daxfs_object_info *object);

/** daxfs_link_write() - by the builder: @next follows @chunk; DAXFS_NO_CHUNK behind the last */
void daxfs_link_write(const struct daxfs_pool *pool, __u32 chunk, __u32 next);

/**
 * daxfs_object_chunks() - check what a row says of its memory against the owner words
 * @chunks: room for @room numbers, filled with the object's chunks in order; of an object
 *	in granules its only chunk. NULL: only check.
 * Each link is read once, each owner word must name (@row, @generation).
 * Return: 0; -ENOSPC more than @room; -EUCLEAN with @why.
 */
int daxfs_object_chunks(const struct daxfs_pool *pool, __u32 row, __u64 generation,
			const struct daxfs_object_info *object, __u32 *chunks, __u32 room,
			const char **why);

/** struct daxfs_participant_info - a slot's record. @name is terminated */
struct daxfs_participant_info {
	__u64 heartbeat;
	__u64 started;
	__u32 pid;
	__u32 kind;
	char name[33];
	__u64 lock;	/* programs of a host: whose file lock proves that it lives; see pool.md */
};

/** daxfs_participant_write() - all but @lock, which is daxfs_attach()'s */
void daxfs_participant_write(const struct daxfs_pool *pool, __u32 slot,
			     const struct daxfs_participant_info *participant);
void daxfs_participant_read(const struct daxfs_pool *pool, __u32 slot,
			    struct daxfs_participant_info *participant);

/** struct daxfs_host_info - a host's record. @name is terminated */
struct daxfs_host_info {
	__u64 key;
	__u64 heartbeat;
	__u64 boot;
	__u8 id[16];
	char name[65];
};

/**
 * daxfs_host_join() - the number of the host with @id, made if it is new
 * Requires: one caller a host at a time (whoever else has that id waits for a file lock).
 * Return: 0 with *@host and *@key, its word; -ENOSPC, *@key 0, all numbers are taken.
 */
int daxfs_host_join(const struct daxfs_pool *pool, const __u8 *id, const char *name, __u32 *host,
		    __u64 *key);

/** daxfs_host_read() - Return: 1 with @info; 0 there is no such host */
int daxfs_host_read(const struct daxfs_pool *pool, __u32 host, struct daxfs_host_info *info);

/** daxfs_host_set_boot() - 64 bits that say which boot of @host takes part from now on */
void daxfs_host_set_boot(const struct daxfs_pool *pool, __u32 host, __u64 boot);

/** daxfs_heartbeat() - a program of @host in @slot is alive at @now, seconds since 1970 */
void daxfs_heartbeat(const struct daxfs_pool *pool, __u32 host, __u32 slot, __u64 now);

/** daxfs_slot_heartbeat() - the same of a kernel, which does not speak for its host */
void daxfs_slot_heartbeat(const struct daxfs_pool *pool, __u32 slot, __u64 now);

/** struct daxfs_hold_info - a hold. @target: a reference; @host: who holds */
struct daxfs_hold_info {
	__u64 word;
	__u64 target;
	__u64 created;
	__u32 host;
	__u32 kind;
	__u32 name_length;
	char name[DAXFS_POOL_TEXT_MAX];
};

/** daxfs_hold_read() - Return: 1 with @info of a valid hold; 0 there is none in row @hold */
int daxfs_hold_read(const struct daxfs_pool *pool, __u32 hold, struct daxfs_hold_info *info);

#ifdef __cplusplus
}
#endif

#endif /* DAXFS_POOL_RECORD_H */
