// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools: this kernel becomes a participant when it comes to hold device 0 of one, for a
 * mount or a name, and leaves when nobody needs that any more. Other devices may come
 * before it and stay behind it. What the dead leave behind is swept by programs, never here.
 */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "pools.h"

DEFINE_MUTEX(daxfs_pools_lock); /* everything in pools.h */
static DEFINE_SPINLOCK(users_lock); /* counts of users; what makes the first is there before it */
static LIST_HEAD(members);

/* Bounds that follow from the range, not from the superblock alone. */
static int check_device(struct fs_context *fc, const struct daxfs_region *region,
			const struct daxfs_pool_info *info)
{
	const struct daxfs_pool_device_info *device = &info->device[info->device_index];

	if (region->size / info->partition_count < info->partition_size) {
		daxfs_refuse(fc, "pool at 0x%llx has %u x %llu bytes, size=%llu is too small",
			     (u64)region->phys, info->partition_count, info->partition_size,
			     region->size);
		return -EFBIG;
	}
	/* What the pool may grow to need not be there; chunks that are not are nobody's. */
	if (device->data_offset > region->size) {
		daxfs_refuse(fc, "pool at 0x%llx begins with %llu bytes, size=%llu is too small",
			     (u64)region->phys, device->data_offset, region->size);
		return -EFBIG;
	}
	if (!daxfs_pool_writable(info)) {
		daxfs_refuse(fc, "pool %pUb was made by a newer daxfs, which is needed to use it",
			     info->uuid);
		return -EROFS;
	}
	return 0;
}

static int read_super(struct fs_context *fc, const struct daxfs_region *region,
		      struct daxfs_pool_info *info)
{
	const char *why;
	int err;

	err = daxfs_pool_read_super(info, region->kaddr, region->size, &why);
	if (err == -EINVAL)
		daxfs_refuse(fc, "range at 0x%llx: %s; for one image alone leave out image=",
			     (u64)region->phys, why);
	else if (err)
		daxfs_refuse(fc, "range at 0x%llx: %s", (u64)region->phys, why);
	return err ? err : check_device(fc, region, info);
}

static struct daxfs_member *member_of_pool(const u8 *uuid)
{
	struct daxfs_member *member;

	list_for_each_entry(member, &members, list)
		if (!memcmp(member->info.uuid, uuid, DAXFS_UUID_SIZE))
			return member;
	return NULL;
}

/* Is a range, by its superblock, one more device of a pool of which others are there? */
static int check_fits(struct fs_context *fc, const struct daxfs_member *member,
		      const struct daxfs_pool_info *info)
{
	const struct daxfs_bank *bank = &member->bank[info->device_index];
	const u8 *uuid = info->device[info->device_index].uuid;

	if (memcmp(member->info.epoch, info->epoch, sizeof(info->epoch)) ||
	    member->info.device_count != info->device_count ||
	    memcmp(member->info.device, info->device, sizeof(info->device))) {
		daxfs_refuse(fc, "device %pUb, epoch %pUb: pool %pUb has %pUb, epoch %pUb there",
			     uuid, info->epoch, info->uuid,
			     member->info.device[info->device_index].uuid, member->info.epoch);
		return -EINVAL;
	}
	if (bank->region) {
		daxfs_refuse(fc, "device %pUb of pool %pUb is there already, at 0x%llx", uuid,
			     info->uuid, (u64)bank->region->phys);
		return -EBUSY;
	}
	return 0;
}

/* The pool that a range says it is a device of, and which. */
static struct daxfs_member *member_of_region(struct fs_context *fc,
					     const struct daxfs_region *region, u32 *index)
{
	struct daxfs_member *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL);
	struct daxfs_member *member;
	u32 i;
	int err;

	if (!fresh)
		return ERR_PTR(-ENOMEM);
	err = -EIO;
	if (daxfs_good_bytes(region->phys, DAXFS_BLOCK_SIZE) != DAXFS_BLOCK_SIZE)
		goto free;
	err = read_super(fc, region, &fresh->info);
	if (err)
		goto free;
	*index = fresh->info.device_index;
	member = member_of_pool(fresh->info.uuid);
	if (member) {
		err = check_fits(fc, member, &fresh->info);
		/* How large the tables are says who has them. */
		if (!err && !*index)
			member->info = fresh->info;
		goto free;
	}
	for (i = 0; i < DAXFS_POOL_DEVICES; i++) {
		fresh->bank[i].member = fresh;
		fresh->bank[i].index = i;
	}
	INIT_LIST_HEAD(&fresh->objects);
	INIT_LIST_HEAD(&fresh->devices);
	list_add(&fresh->list, &members);
	return fresh;
free:
	kfree(fresh);
	return err ? ERR_PTR(err) : member;
}

static void member_forget(struct daxfs_member *member)
{
	if (member->banks)
		return;
	list_del(&member->list);
	kfree(member);
}

/**
 * daxfs_bank_get() - the device of a pool that a region is; of device 0 the kernel takes part
 * @fc: told what is wrong
 * @region: the caller is a user of it
 *
 * Context: daxfs_pools_lock is held.
 * Return: with one user more, or ERR_PTR: -EINVAL no pool, or another one of that UUID,
 * -EOPNOTSUPP, -EUCLEAN, -EFBIG, -EROFS, -EBUSY this host takes part already or has that device
 * elsewhere, -ESTALE, -EINTR, -ENOSPC no place for it, -ENOENT no partition for it, -ENOMEM.
 */
struct daxfs_bank *daxfs_bank_get(struct fs_context *fc, struct daxfs_region *region)
{
	struct daxfs_member *member;
	struct daxfs_bank *bank;
	u32 index;
	int err;

	if (region->bank) {
		daxfs_bank_hold(region->bank);
		return region->bank;
	}
	member = member_of_region(fc, region, &index);
	if (IS_ERR(member))
		return ERR_CAST(member);
	err = index ? 0 : daxfs_member_join(fc, member, region);
	if (err) {
		member_forget(member);
		return ERR_PTR(err);
	}
	daxfs_region_hold(region);
	bank = &member->bank[index];
	bank->region = region;
	member->banks++;
	region->bank = bank;
	spin_lock(&users_lock);
	bank->users = 1;
	spin_unlock(&users_lock);
	return bank;
}

/** daxfs_pools_unmap() - programs' mappings of the 2 MiB at @phys go, of whatever pool it is in */
void daxfs_pools_unmap(phys_addr_t phys)
{
	struct daxfs_member *member;

	mutex_lock(&daxfs_pools_lock);
	list_for_each_entry(member, &members, list)
		daxfs_devices_unmap(member, phys);
	mutex_unlock(&daxfs_pools_lock);
}

/**
 * daxfs_bank_hold() - one user more of a bank that is there
 * @bank: of a member that cannot go away meanwhile
 *
 * Return: false: it is not there. Context: any; with daxfs_pools_lock or without.
 */
bool daxfs_bank_hold(struct daxfs_bank *bank)
{
	bool there;

	spin_lock(&users_lock);
	there = bank->users;
	bank->users += there;
	spin_unlock(&users_lock);
	return there;
}

/**
 * daxfs_bank_put() - one user less; the last one of bank 0 ends this kernel's part
 * @bank: from daxfs_bank_get()
 *
 * Context: daxfs_pools_lock is held.
 */
void daxfs_bank_put(struct daxfs_bank *bank)
{
	struct daxfs_member *member = bank->member;
	struct daxfs_region *region = bank->region;
	bool last;

	spin_lock(&users_lock);
	last = !--bank->users;
	spin_unlock(&users_lock);
	if (!last)
		return;
	if (!bank->index)
		daxfs_member_leave(member);
	region->bank = NULL;
	bank->region = NULL;
	member->banks--;
	member_forget(member);
	daxfs_region_put(region);
}
