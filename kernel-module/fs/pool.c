// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools: this kernel becomes a participant when it comes to hold device 0 of one, for a
 * mount or a name, and leaves when nobody needs that any more. Other devices may come
 * before it and stay behind it. What the dead leave behind is swept by programs, never here.
 */
#define pr_fmt(fmt) "daxfs: " fmt

#include <crypto/sha2.h>
#include <linux/delay.h>
#include <linux/dmi.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/utsname.h>
#include <linux/uuid.h>

#include "pools.h"

#define BEAT_INTERVAL	HZ
#define LOOK_MS		100	/* between two looks at another kernel's heartbeat */
#define LOOKS		25	/* more than two beats of it */

DEFINE_MUTEX(daxfs_pools_lock); /* everything in pools.h */
static DEFINE_SPINLOCK(users_lock); /* counts of users; what makes the first is there before it */
static LIST_HEAD(members);

static char *host_id;
module_param(host_id, charp, 0444);
MODULE_PARM_DESC(host_id, "id of this host in pools: 32 hex digits; default: DMI product UUID");

/* Who this kernel is; set at load. */
static u8 own_id[DAXFS_UUID_SIZE];
static bool own_id_is_random;

/* 32 hexadecimal digits, hyphens anywhere between them. */
static bool parse_id(const char *text, u8 *id)
{
	char digits[2 * DAXFS_UUID_SIZE];
	unsigned int count = 0;

	for (; *text && *text != '\n'; text++) {
		if (*text == '-')
			continue;
		if (count == sizeof(digits))
			return false;
		digits[count++] = *text;
	}
	return count == sizeof(digits) && !hex2bin(id, digits, DAXFS_UUID_SIZE);
}

/** daxfs_pools_init() - at module load: who this host is. Return: 0; -EINVAL host_id= is no id */
int daxfs_pools_init(void)
{
	const char *dmi = dmi_get_system_info(DMI_PRODUCT_UUID);

	if (host_id && *host_id) {
		if (parse_id(host_id, own_id))
			return 0;
		pr_err("host_id=%s: not 32 hexadecimal digits\n", host_id);
		return -EINVAL;
	}
	if (dmi && parse_id(dmi, own_id))
		return 0;
	get_random_bytes(own_id, sizeof(own_id));
	own_id_is_random = true;
	return 0;
}

/* What kernels of this host have beaten so far, all together; 0: there is none. */
static u64 kernel_beats(const struct daxfs_pool *pool, u32 host)
{
	struct daxfs_participant_info info;
	u64 beats = 0;
	u32 i;

	for (i = 0; i < pool->slot_count; i++) {
		u64 word = daxfs_load(&pool->slots[i]);

		if (daxfs_word_state(word) != DAXFS_SLOT_ATTACHED ||
		    daxfs_word_slot(word) != host || !daxfs_slot_is_kernel(word))
			continue;
		daxfs_participant_read(pool, i, &info);
		beats += info.heartbeat + 1;
	}
	return beats;
}

/*
 * There is one kernel a host: what an earlier one has left in the table of slots is dead,
 * unless it beats: then there are two machines with one id, or a clone.
 * Return: 0; -EBUSY one is alive; -EINTR.
 */
static int bury_predecessors(const struct daxfs_pool *pool, u32 host)
{
	u64 first = kernel_beats(pool, host);
	u32 i;

	for (i = 0; first && i < LOOKS; i++) {
		if (msleep_interruptible(LOOK_MS))
			return -EINTR;
		if (kernel_beats(pool, host) != first)
			return -EBUSY;
	}
	for (i = 0; first && i < pool->slot_count; i++) {
		u64 word = daxfs_load(&pool->slots[i]);

		if (daxfs_word_state(word) == DAXFS_SLOT_ATTACHED &&
		    daxfs_word_slot(word) == host && daxfs_slot_is_kernel(word))
			daxfs_mark_dead(pool, i, word);
	}
	return 0;
}

/*
 * Kernels of one host know each other by their slots. Its programs do by its boot and its
 * heartbeat, which are theirs: a kernel that touched them would look like another boot's.
 */
static int join_host(struct fs_context *fc, struct daxfs_member *member)
{
	struct daxfs_pool *pool = &member->pool;
	int err;

	err = daxfs_host_join(pool, own_id, init_utsname()->nodename, &member->host);
	if (err) {
		daxfs_refuse(fc, "all %u hosts of the pool are taken: fence those gone",
			     pool->host_count);
		return err;
	}
	err = bury_predecessors(pool, member->host);
	if (err == -EBUSY)
		daxfs_refuse(fc, "another machine is alive as host %pUb: set host_id=", own_id);
	return err;
}

static int take_slot(struct fs_context *fc, struct daxfs_member *member)
{
	struct daxfs_participant_info own = {
		.heartbeat = ktime_get_real_seconds(),
		.started = ktime_get_real_seconds(),
		.kind = DAXFS_PARTICIPANT_KERNEL,
	};
	u32 i;

	for (i = 0; i < member->pool.slot_count; i++) {
		if (daxfs_attach(&member->pool, i, member->host | DAXFS_HOST_KERNEL, 0,
				 &member->word))
			continue;
		member->slot = i;
		scnprintf(own.name, sizeof(own.name), "kernel %.25s", init_utsname()->release);
		daxfs_participant_write(&member->pool, i, &own);
		return 0;
	}
	daxfs_refuse(fc, "all %u slots of the pool are taken: daxfsctl pool gc, or fence",
		     member->pool.slot_count);
	return -ENOSPC;
}

/* In a pool made anew of the same memory another's slot may have the same word. */
static bool has_slot(const struct daxfs_member *member)
{
	return daxfs_load(&member->pool.slots[member->slot]) == member->word &&
	       daxfs_pool_has_epoch(member->super, member->info.epoch);
}

/** daxfs_member_fenced() - has somebody stated that this host is off? Then its slot is not its */
bool daxfs_member_fenced(struct daxfs_member *member)
{
	if (!member->fenced &&
	    (!has_slot(member) || daxfs_partition_over(&member->pool, member->life))) {
		member->fenced = true;
		pr_err("pool %pUb: fenced, or made anew: images of it may be overwritten\n",
		       member->info.uuid);
	}
	return member->fenced;
}

static void beat(struct work_struct *work)
{
	struct daxfs_member *member =
		container_of(to_delayed_work(work), struct daxfs_member, beat);

	if (has_slot(member))
		daxfs_slot_heartbeat(&member->pool, member->slot, ktime_get_real_seconds());
	queue_delayed_work(daxfs_queue, &member->beat, BEAT_INTERVAL);
}

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

/* The partition of this host, of a pool that has several. */
static int find_partition(struct fs_context *fc, struct daxfs_member *member,
			  const struct daxfs_region *region, u32 *own)
{
	struct daxfs_pool_info info;
	const char *why;
	u32 i;

	*own = member->info.partition_count;
	for (i = 0; i < member->info.partition_count; i++) {
		if (daxfs_partition_read(&info, region->kaddr, member->info.partition_size, i,
					 &why)) {
			daxfs_refuse(fc, "pool %pUb: partition %u: %s", member->info.uuid, i, why);
			return -EUCLEAN;
		}
		if (!memcmp(info.partition_host, own_id, sizeof(own_id)))
			*own = i;
	}
	if (*own < member->info.partition_count)
		return 0;
	daxfs_refuse(fc, "pool %pUb has no partition for this host, %pUb", member->info.uuid,
		     own_id);
	return -ENOENT;
}

static void forget_partitions(struct daxfs_member *member)
{
	kfree(member->partitions);
	member->partitions = NULL;
}

static int view_pool(struct fs_context *fc, struct daxfs_member *member,
		     const struct daxfs_region *region)
{
	u32 count = member->info.partition_count;
	u32 own;
	int err;

	if (count == 1) {
		daxfs_pool_view(&member->pool, &member->info, region->kaddr);
		return 0;
	}
	err = find_partition(fc, member, region, &own);
	if (err)
		return err;
	member->partitions = kcalloc(count, sizeof(*member->partitions), GFP_KERNEL);
	if (!member->partitions)
		return -ENOMEM;
	daxfs_partitions_view(member->partitions, &member->info, region->kaddr, own);
	member->pool = member->partitions[own];
	return 0;
}

/* Begins to take part in a pool; its tables are in @region. */
static int join(struct fs_context *fc, struct daxfs_member *member,
		const struct daxfs_region *region)
{
	int err;

	member->fenced = false;
	member->super = region->kaddr;
	err = view_pool(fc, member, region);
	if (!err)
		err = join_host(fc, member);
	if (!err)
		member->life = daxfs_partition_begin(&member->pool);
	if (!err)
		err = take_slot(fc, member);
	if (err) {
		forget_partitions(member);
		return err;
	}
	if (own_id_is_random)
		pr_notice_once("no host_id= and no DMI product UUID, random: %pUb\n", own_id);
	pr_debug("pool %pUb at %pa: taking part as host %pUb, slot %u\n", member->info.uuid,
		 &region->phys, own_id, member->slot);
	queue_delayed_work(daxfs_queue, &member->beat, 0);
	return 0;
}

static bool host_has_slots(const struct daxfs_pool *pool, u32 host)
{
	u32 i;

	for (i = 0; i < pool->slot_count; i++) {
		u64 word = daxfs_load(&pool->slots[i]);

		if (daxfs_word_state(word) == DAXFS_SLOT_ATTACHED && daxfs_word_slot(word) == host)
			return true;
	}
	return false;
}

/* A random id will never be seen again. */
static void leave(struct daxfs_member *member)
{
	struct daxfs_pool *pool = &member->pool;

	cancel_delayed_work_sync(&member->beat);
	if (daxfs_member_fenced(member))
		return;
	daxfs_detach(pool, member->slot);
	if (own_id_is_random && !host_has_slots(pool, member->host))
		daxfs_host_leave(pool, member->host, daxfs_load(&pool->hosts[member->host]));
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
	INIT_DELAYED_WORK(&fresh->beat, beat);
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
 * elsewhere, -ENOSPC no place for it, -ENOENT no partition for it, -ENOMEM.
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
	err = index ? 0 : join(fc, member, region);
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
	if (!bank->index) {
		leave(member);
		forget_partitions(member);
	}
	region->bank = NULL;
	bank->region = NULL;
	member->banks--;
	member_forget(member);
	daxfs_region_put(region);
}
