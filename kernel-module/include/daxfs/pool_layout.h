/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Where things lie in a pool, version 1: docs/pool.md, "Layout", is the normative text.
 *
 * A pool is one device or several. Each begins with a superblock; that of device 0 is
 * followed by the tables, one behind the other, each at a multiple of 4 KiB:
 *
 *	super | live | host keys | hosts | slot words | slots | row words | rows | uses |
 *	chunk owners | chunk links | granule owners | alias words | aliases |
 *	name words | names | hold words | hold targets | holds | stated
 *
 * How large each is follows from the counts in the superblock alone. Chunks of 2 MiB
 * begin at the next multiple of 2 MiB; on other devices at 2 MiB. Chunk numbers run
 * through all devices. In a partitioned pool, of one device, all this is there once for each
 * host, one partition behind the other, and offsets count from its partition's first byte.
 * No addresses and no pointers: every host maps a pool elsewhere.
 *
 * Words (struct daxfs_word) are changed by many at once: daxfs/pool_words.h says what
 * they mean. All other fields are written by whoever has claimed their row, and read
 * only while the row's word says that they hold still.
 */
#ifndef DAXFS_POOL_LAYOUT_H
#define DAXFS_POOL_LAYOUT_H

#include "daxfs/atomic.h"
#include "daxfs/format.h"

/* 0x89 'D' 'A' 'X' 'P' 'L' CR LF, read as a little-endian number; stored last, in one store. */
#define DAXFS_POOL_MAGIC	0x0a0d4c5058414489ULL
#define DAXFS_POOL_VERSION	1

#ifndef DAXFS_GRANULE_SHIFT				/* the simulator's chunks have two */
#define DAXFS_GRANULE_SHIFT	16			/* unit of small objects */
#endif
#define DAXFS_GRANULE_SIZE	(1U << DAXFS_GRANULE_SHIFT)
#define DAXFS_CHUNK_GRANULES	(DAXFS_CHUNK_SIZE / DAXFS_GRANULE_SIZE)
#define DAXFS_POOL_DEVICES	16			/* most devices of one pool */
#define DAXFS_POOL_PARTITIONS	64			/* most hosts of a partitioned one */
#define DAXFS_BUCKET_ROWS	8			/* one line of words */
#define DAXFS_POOL_TEXT_MAX	192			/* bytes of a name, of a hold's name */
#define DAXFS_NO_CHUNK		0xffffffffU		/* end of a row's chunks */

#define DAXFS_POOL_INCOMPAT_PARTITIONED	(1ULL << 0)	/* memory without hardware coherence */
#define DAXFS_POOL_INCOMPAT_KNOWN	DAXFS_POOL_INCOMPAT_PARTITIONED
#define DAXFS_POOL_RO_COMPAT_KNOWN	0ULL
#define DAXFS_POOL_COMPAT_KNOWN		0ULL

/* What a row holds. Unknown kinds are shown, kept, and never collected. */
#define DAXFS_OBJECT_IMAGE	1U	/* digest: its root */
#define DAXFS_OBJECT_BLOB	2U	/* digest: SHA-256 of its bytes, at most 64 KiB */
#define DAXFS_OBJECT_OVERLAY	3U	/* reserved */
#define DAXFS_OBJECT_PAGE_CACHE	4U	/* reserved */

/* What an alias says. Keys are digests; of names and volumes SHA-256 of their text. */
#define DAXFS_ALIAS_ROOT	1U	/* an image's or blob's own digest */
#define DAXFS_ALIAS_DIFF_ID	2U	/* the uncompressed layer an image is made of */
#define DAXFS_ALIAS_BLOB	3U	/* the layer as the registry has it */
#define DAXFS_ALIAS_CHAIN	4U	/* a layer on top of others; parent is their chain */
#define DAXFS_ALIAS_INTENT	5U	/* what is being built for that key */
#define DAXFS_ALIAS_NAME	16U	/* unique; in the table of names */
#define DAXFS_ALIAS_VOLUME	17U	/* unique; in the table of names */

/* Who is behind a slot, and behind a hold. */
#define DAXFS_PARTICIPANT_KERNEL	1U
#define DAXFS_PARTICIPANT_PROGRAM	2U
#define DAXFS_HOLD_ADMIN	1U
#define DAXFS_HOLD_SNAPSHOT	2U
#define DAXFS_HOLD_VOLUME	3U
#define DAXFS_HOLD_STAGE	4U

/* What a participant loses to others, in the order of the numbers in its slot. */
enum daxfs_contention {
	DAXFS_CONTENTION_CHUNKS,	/* swaps lost: chunks taken or split by another */
	DAXFS_CONTENTION_GRANULES,
	DAXFS_CONTENTION_ROWS,
	DAXFS_CONTENTION_ALIASES,	/* rows of the index */
	DAXFS_CONTENTION_LOOKS,		/* look-ups that had to look again */
	DAXFS_CONTENTION_WAITS,		/* objects another was building */
	DAXFS_CONTENTION_UNDONE,	/* collections undone: there was a reference */
	DAXFS_CONTENTION_SWEEPS,	/* dead participants swept */
	DAXFS_CONTENTION_COUNT
};

/**
 * struct daxfs_pool_device - one device of a pool, as every superblock lists it
 * @uuid: in that device's own superblock too
 * @size: bytes
 * @first_chunk, @chunk_count: the chunks that lie on it
 * @data_offset: bytes from the device's start to its first chunk
 */
struct daxfs_pool_device {
	__u8 uuid[DAXFS_UUID_SIZE];
	daxfs_le64 size;
	daxfs_le64 data_offset;
	daxfs_le32 first_chunk;
	daxfs_le32 chunk_count;
	__u8 reserved[24];
};
DAXFS_ASSERT_SIZE(struct daxfs_pool_device, 64);

/**
 * struct daxfs_pool_super - the first 4 KiB of each device
 * @magic: DAXFS_POOL_MAGIC
 * @version: DAXFS_POOL_VERSION
 * @crc32c: CRC-32C of the 4 KiB with magic and crc32c as zeros
 * @uuid: of the pool
 * @epoch: random, new whenever the pool is made: nothing in it outlives that
 * @device_index: which of @device this one is
 * @row_count: objects
 * @alias_buckets, @name_buckets: powers of two, of 8 rows each
 * @alias_overflow, @name_overflow: rows behind the buckets
 * @partition_size, @partition, @partition_count, @partition_host: bytes of each partition,
 *	which one this is, of how many, and whose; zeros without DAXFS_POOL_INCOMPAT_PARTITIONED
 */
struct daxfs_pool_super {
	daxfs_le64 magic;
	daxfs_le32 version;
	daxfs_le32 crc32c;
	daxfs_le64 feature_compat;
	daxfs_le64 feature_ro_compat;
	daxfs_le64 feature_incompat;
	__u8 uuid[DAXFS_UUID_SIZE];
	__u8 epoch[DAXFS_UUID_SIZE];
	daxfs_le64 created;		/* seconds since 1970 */
	daxfs_le32 device_index;
	daxfs_le32 device_count;
	daxfs_le32 host_count;
	daxfs_le32 slot_count;
	daxfs_le32 row_count;
	daxfs_le32 chunk_count;
	daxfs_le32 alias_buckets;
	daxfs_le32 alias_overflow;
	daxfs_le32 name_buckets;
	daxfs_le32 name_overflow;
	daxfs_le32 hold_count;
	daxfs_le32 reserved0;
	__u8 label[64];			/* for people, NUL-padded */
	daxfs_le64 partition_size;
	daxfs_le32 partition;
	daxfs_le32 partition_count;
	__u8 partition_host[16];
	__u8 reserved1[2848];
	struct daxfs_pool_device device[DAXFS_POOL_DEVICES];
};
DAXFS_ASSERT_SIZE(struct daxfs_pool_super, 4096);
DAXFS_ASSERT_OFFSET(struct daxfs_pool_super, device, 3072);

/** struct daxfs_pool_live - words that belong to no row; a line each */
struct daxfs_pool_live {
	struct daxfs_word alias_overflow;	/* overflow rows that were ever used */
	__u8 pad0[56];
	struct daxfs_word name_overflow;
	__u8 pad1[56];
	__u8 reserved[3968];
};
DAXFS_ASSERT_SIZE(struct daxfs_pool_live, 4096);

/**
 * struct daxfs_pool_host - a host, beside its key (a word: 0, or 64 bits made of @id)
 * @heartbeat: seconds since 1970 by its own clock; for people, and to see that it moves
 * @boot: 64 bits that change with every boot of it
 * @contention: sums over participants that have gone, two numbers a word, the first one low
 */
struct daxfs_pool_host {
	struct daxfs_word heartbeat;
	struct daxfs_word boot;
	__u8 id[16];
	__u8 name[64];
	struct daxfs_word contention[DAXFS_CONTENTION_COUNT / 2];
};
DAXFS_ASSERT_SIZE(struct daxfs_pool_host, 128);

/**
 * struct daxfs_pool_slot - a participant, beside its word; for people
 * @contention: what it lost to others so far; written by itself
 */
struct daxfs_pool_slot {
	struct daxfs_word heartbeat;
	daxfs_le64 started;		/* seconds since 1970 */
	daxfs_le32 pid;
	daxfs_le32 kind;		/* DAXFS_PARTICIPANT_* */
	__u8 name[32];
	struct daxfs_word lock;		/* whose lock says that it lives, and which boot; or 0 */
	struct daxfs_word contention[DAXFS_CONTENTION_COUNT];
};
DAXFS_ASSERT_SIZE(struct daxfs_pool_slot, 128);

/**
 * struct daxfs_pool_row - an object, beside its word
 * @progress: bytes its builder has placed; whoever waits sees whether it moves
 * @used: seconds since 1970 when it was last taken, by the taker's clock
 * @size: bytes
 * @kind: DAXFS_OBJECT_*
 * @first: its first chunk, the others follow by chunk links; or its first granule
 * @chunk_count: 0 if it lies in granules
 * @granule_count: 0 if it lies in chunks; else all in one chunk
 */
struct daxfs_pool_row {
	struct daxfs_word progress;
	struct daxfs_word used;
	daxfs_le64 size;
	daxfs_le64 created;
	daxfs_le32 kind;
	daxfs_le32 first;
	daxfs_le32 chunk_count;
	daxfs_le32 granule_count;
	__u8 digest[DAXFS_DIGEST_SIZE];
	__u8 reserved[48];
};
DAXFS_ASSERT_SIZE(struct daxfs_pool_row, 128);

/* An alias row beside its word, as words: a look-up may read them while another writes. */
#define DAXFS_BODY_KEY		0	/* 4 words: the digest, as little-endian numbers */
#define DAXFS_BODY_TARGET	4	/* a reference */
#define DAXFS_BODY_KIND		5	/* DAXFS_ALIAS_* in bits 0-31, bytes of text in 32-63 */
#define DAXFS_BODY_PARENT	6	/* 2 words: the first 16 bytes of the parent chain */
#define DAXFS_BODY_TEXT		8	/* names only: 24 words */
#define DAXFS_ALIAS_WORDS	8
#define DAXFS_NAME_WORDS	32

/** struct daxfs_pool_hold - a hold, beside its word and target; says whose and what for */
struct daxfs_pool_hold {
	daxfs_le64 created;
	daxfs_le32 kind;		/* DAXFS_HOLD_* */
	daxfs_le32 name_length;
	__u8 name[DAXFS_POOL_TEXT_MAX];
	__u8 reserved[48];
};
DAXFS_ASSERT_SIZE(struct daxfs_pool_hold, 256);

#endif /* DAXFS_POOL_LAYOUT_H */
