/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * This kernel's part in pools. One lock, daxfs_pools_lock, guards everything here: pools
 * and their users, objects and their users, and each step of the kernel's slots, which
 * core wants one at a time. Mounts are rare, so one is enough. It is taken with nothing
 * else held; the lock of regions is taken inside it.
 */
#ifndef DAXFS_POOLS_H
#define DAXFS_POOLS_H

#include "internal.h"
#include "pool_index.h"
#include "pool_open.h"
#include "pool_record.h"

extern struct mutex daxfs_pools_lock;

/**
 * struct daxfs_member - a pool that this kernel takes part in
 * @region: where its device 0 is; a user of it, and region->member is this
 * @info: its superblock, as it was when the kernel joined; checked
 * @pool: its words
 * @objects: those of which this kernel has a use
 * @devices: names under which programs reach it
 * @users: objects, devices, and whoever is looking for one
 * @slot: the kernel's own
 * @host: the number of this host
 * @word: what the slot's word says as long as nobody has stated that this host is off
 * @fenced: somebody has; it was logged
 * @beat: says every second that this kernel is alive
 */
struct daxfs_member {
	struct daxfs_region *region;
	struct daxfs_pool_info info;
	struct daxfs_pool pool;
	struct list_head objects;
	struct list_head devices;
	unsigned int users;
	u32 slot;
	u32 host;
	u64 word;
	bool fenced;
	struct delayed_work beat;
};

/**
 * struct daxfs_object - an image in a pool, of which this kernel has a use
 * @list: in the member's objects
 * @member: its pool; a user of it
 * @row: its row there
 * @generation: and that row's
 * @digest: the image's root, as the row says
 * @place: where its bytes are; looks into @chunks
 * @chunks: its chunks, copied once and checked; of an object in granules the one it is in
 * @chunk_count: how many
 * @users: superblocks; 0 while parked: waiting for references to its pages to go, and
 *	holding the module
 * @draining: @drain is queued or running
 * @drain: looks whether the references have gone
 */
struct daxfs_object {
	struct list_head list;
	struct daxfs_member *member;
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
struct daxfs_member *daxfs_member_get(struct fs_context *fc, struct daxfs_region *region);
void daxfs_member_put(struct daxfs_member *member);
bool daxfs_member_fenced(struct daxfs_member *member);
int daxfs_pools_init(void);

/* object.c */
struct daxfs_object *daxfs_object_get(struct fs_context *fc, struct daxfs_region *region,
				      const char *image);
void daxfs_object_put(struct daxfs_object *object);

/* device.c */
void daxfs_devices_unmap(struct daxfs_member *member, u64 at);

/* attach.c */
int daxfs_device_range(const char *name, phys_addr_t *phys, u64 *size);
int daxfs_devices_init(void);
void daxfs_devices_exit(void);

#endif /* DAXFS_POOLS_H */
