/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/**
 * DOC: making a pool and opening it
 *
 * The rules of core.h hold: whatever the bytes say, no pointer of an opened pool leaves
 * the memory that was given, and every count is bounded.
 */
#ifndef DAXFS_POOL_OPEN_H
#define DAXFS_POOL_OPEN_H

#include "pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** struct daxfs_pool_device_info - a device as numbers; bytes and chunks */
struct daxfs_pool_device_info {
	__u8 uuid[DAXFS_UUID_SIZE];
	__u64 size;
	__u64 data_offset;
	__u32 first_chunk;
	__u32 chunk_count;
};

/** struct daxfs_pool_info - a superblock as numbers, all checked */
struct daxfs_pool_info {
	__u64 feature_compat;
	__u64 feature_ro_compat;
	__u64 feature_incompat;
	__u64 created;
	__u32 version;
	__u32 device_index;
	__u32 device_count;
	__u32 host_count;
	__u32 slot_count;
	__u32 row_count;
	__u32 chunk_count;
	__u32 alias_buckets;
	__u32 alias_overflow;
	__u32 name_buckets;
	__u32 name_overflow;
	__u32 hold_count;
	__u32 partition;	/* 0 of 1 unless the pool is partitioned */
	__u32 partition_count;
	__u64 partition_size;
	__u8 partition_host[16];
	__u8 uuid[DAXFS_UUID_SIZE];
	__u8 epoch[DAXFS_UUID_SIZE];
	char label[65];
	struct daxfs_pool_device_info device[DAXFS_POOL_DEVICES];
};

/* The tables, in the order in which they lie behind the superblock of device 0. */
enum daxfs_pool_table {
	DAXFS_TABLE_LIVE,
	DAXFS_TABLE_HOST_KEYS,
	DAXFS_TABLE_HOSTS,
	DAXFS_TABLE_SLOT_WORDS,
	DAXFS_TABLE_SLOTS,
	DAXFS_TABLE_ROW_WORDS,
	DAXFS_TABLE_ROWS,
	DAXFS_TABLE_USES,
	DAXFS_TABLE_OWNERS,
	DAXFS_TABLE_LINKS,
	DAXFS_TABLE_GRANULES,
	DAXFS_TABLE_ALIAS_WORDS,
	DAXFS_TABLE_ALIASES,
	DAXFS_TABLE_NAME_WORDS,
	DAXFS_TABLE_NAMES,
	DAXFS_TABLE_HOLD_WORDS,
	DAXFS_TABLE_HOLD_TARGETS,
	DAXFS_TABLE_HOLDS,
	DAXFS_TABLE_STATED,
	DAXFS_TABLE_COUNT
};

/** struct daxfs_pool_map - where the tables are; bytes from device 0's or a partition's start */
struct daxfs_pool_map {
	__u64 offset[DAXFS_TABLE_COUNT];
	__u64 size[DAXFS_TABLE_COUNT];
	__u64 end;		/* first byte behind them, a multiple of 4 KiB */
};

/**
 * daxfs_pool_defaults() - counts and devices for a new pool
 * @info: device_count and each device's size are set, counts that are not 0 are kept, the
 *	rest is filled: chunks, where they begin, and tables that fit them. partition_count
 *	above 1: the one device is cut into so many, and this is one of them.
 * Return: 0; -EINVAL with @why: too small, a count out of range.
 */
int daxfs_pool_defaults(struct daxfs_pool_info *info, const char **why);

/** daxfs_pool_tables() - where the tables are; of counts that were checked */
void daxfs_pool_tables(const struct daxfs_pool_info *info, struct daxfs_pool_map *map);

/**
 * daxfs_pool_format() - write the superblock of device @index at @base, magic last
 * Requires: of device 0, that all tables are zeros: the caller has cleared
 * [0, daxfs_pool_map.end).
 */
void daxfs_pool_format(void *base, const struct daxfs_pool_info *info, __u32 index);

/** daxfs_pool_has_epoch() - is that the pool whose superblock is at @base, unchecked? */
int daxfs_pool_has_epoch(const void *base, const __u8 *epoch);

/**
 * daxfs_pool_read_super() - check the superblock of any device of a pool
 * @size: readable bytes at @base, 4 KiB at least; the device itself may be larger
 * Return: 0; -EINVAL no pool; -EOPNOTSUPP version or feature unknown; -EUCLEAN damaged.
 */
int daxfs_pool_read_super(struct daxfs_pool_info *info, const void *base, __u64 size,
			  const char **why);

/** daxfs_pool_writable() - may this program change that pool? 0: ro_compat bits are unknown */
int daxfs_pool_writable(const struct daxfs_pool_info *info);

/**
 * daxfs_pool_view() - the words of a pool whose device 0 is at @base
 * Requires: @info from daxfs_pool_read_super() or _defaults(), [base, map.end) accessible.
 */
void daxfs_pool_view(struct daxfs_pool *pool, const struct daxfs_pool_info *info, void *base);

/**
 * daxfs_partitions_view() - all partitions of a partitioned pool whose device is at @base
 * @pools: room for @info->partition_count; they refer to each other and stay where they are
 * @info: of any of them; @own: this host's number, or none: then all are FAR
 */
void daxfs_partitions_view(struct daxfs_pool *pools, const struct daxfs_pool_info *info,
			   void *base, __u32 own);

/**
 * daxfs_partition_read() - check that partition @number says what the first one does
 * @base: of the device, whose first partition says @partition_size
 * Return: 0 with @info of that partition; -EUCLEAN.
 */
int daxfs_partition_read(struct daxfs_pool_info *info, const void *base, __u64 partition_size,
			 __u32 number, const char **why);

/**
 * daxfs_chunk_device() - the device a chunk lies on, and the byte there
 * @info: of its partition, if there are some. Return: 0; -ENOENT.
 */
int daxfs_chunk_device(const struct daxfs_pool_info *info, __u32 chunk, __u32 *device,
		       __u64 *offset);

#ifdef __cplusplus
}
#endif

#endif /* DAXFS_POOL_OPEN_H */
