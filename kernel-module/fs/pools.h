/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * This kernel's part in pools. One lock, daxfs_pools_lock, guards everything here: pools,
 * their banks and objects with their users, the lives of slots, and each step of the
 * kernel's own, which core wants one at a time. Mounts are rare, so one is enough. It is
 * held long at times, so open() of a device does without it. The lock of regions is taken
 * inside it.
 */
#ifndef DAXFS_POOLS_H
#define DAXFS_POOLS_H

#include "internal.h"
#include "pool_index.h"
#include "pool_open.h"
#include "pool_record.h"
#include "pool_slot.h"

extern struct mutex daxfs_pools_lock;

struct daxfs_member;

/**
 * struct daxfs_bank - a device of a pool, as this kernel holds it
 * @member: the pool
 * @region: where it is; a user of it, and region->bank is this; NULL: it is not there
 * @index: its number in the pool; bank 0 has the tables
 * @users: objects with chunks on it, names, open files; of bank 0 all objects and files, and
 *	whoever is looking for an object; by daxfs_bank_hold() and _put() alone
 */
struct daxfs_bank {
	struct daxfs_member *member;
	struct daxfs_region *region;
	u32 index;
	unsigned int users;
};

/**
 * struct daxfs_member - a pool of which this kernel holds a device; it takes part in it while
 *	that is device 0
 * @list: in all of them
 * @info: the superblock of the first bank that came, then of bank 0; checked
 * @bank: by number
 * @banks: how many are there
 * @objects: those of which this kernel has a use
 * @devices: names under which programs reach its banks
 * @pool: its words, of this host's partition; this and what follows only while bank 0 is there
 * @super: its superblock in memory, unchecked from then on
 * @tables: where that is, the tables behind it
 * @partitions: the words of all partitions, if it has some
 * @slot: the kernel's own
 * @host: the number of this host
 * @host_key: its word, as long as this host has it
 * @word: what the slot's word says as long as nobody has stated that this host is off
 * @life: the same of this host's life, in a partitioned pool
 * @fenced: somebody has; it was logged
 * @beat: says every second that this kernel is alive
 */
struct daxfs_member {
	struct list_head list;
	struct daxfs_pool_info info;
	struct daxfs_bank bank[DAXFS_POOL_DEVICES];
	unsigned int banks;
	struct list_head objects;
	struct list_head devices;
	struct daxfs_pool pool;
	const void *super;
	phys_addr_t tables;
	struct daxfs_pool *partitions;
	u32 slot;
	u32 host;
	u64 host_key;
	u64 word;
	u64 life;
	bool fenced;
	struct delayed_work beat;
};

/**
 * struct daxfs_object - an image in a pool, of which this kernel has a use
 * @list: in the member's objects
 * @member: its pool
 * @banks: a bit for each bank it uses: those with its chunks, and bank 0
 * @home: the partition it is in; that of this host, unless the pool has several
 * @row: its row there
 * @generation: and that row's
 * @digest: the image's root, as the row says
 * @place: where its bytes are in this kernel's memory; looks into @chunks
 * @chunks: physical addresses of its chunks, in 2 MiB; of an object in granules of the one
 *	it is in
 * @chunk_count: how many
 * @users: superblocks; 0 while parked: waiting for references to its pages to go, and
 *	holding the module
 * @draining: @drain is queued or running
 * @drain: looks whether the references have gone
 */
struct daxfs_object {
	struct list_head list;
	struct daxfs_member *member;
	unsigned long banks;
	const struct daxfs_pool *home;
	u32 row;
	u64 generation;
	u8 digest[DAXFS_DIGEST_SIZE];
	struct daxfs_place place;
	u32 *chunks;
	u32 chunk_count;
	unsigned int users;
	bool draining;
	struct delayed_work drain;
};

/* pool.c */
struct daxfs_bank *daxfs_bank_get(struct fs_context *fc, struct daxfs_region *region);
bool daxfs_bank_hold(struct daxfs_bank *bank);
void daxfs_pools_unmap(phys_addr_t phys);
void daxfs_bank_put(struct daxfs_bank *bank);

/* member.c */
int daxfs_member_join(struct fs_context *fc, struct daxfs_member *member,
		      const struct daxfs_region *region);
void daxfs_member_leave(struct daxfs_member *member);
bool daxfs_tables_good(const struct daxfs_member *member);
bool daxfs_member_fenced(struct daxfs_member *member);
int daxfs_pools_init(void);

/* object.c */
struct daxfs_object *daxfs_object_get(struct fs_context *fc, struct daxfs_region *region,
				      const char *image);
void daxfs_object_put(struct daxfs_object *object);

/* device.c */
void daxfs_devices_unmap(struct daxfs_member *member, phys_addr_t phys);

/* attach.c */
int daxfs_device_range(const char *name, phys_addr_t *phys, u64 *size);
int daxfs_devices_init(void);
void daxfs_devices_exit(void);

#endif /* DAXFS_POOLS_H */
