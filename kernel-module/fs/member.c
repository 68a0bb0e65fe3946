// SPDX-License-Identifier: GPL-2.0-only
/* This kernel as a participant of a pool: which host it is, its slot, its heart, its partition. */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/delay.h>
#include <linux/dmi.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/utsname.h>

#include "pools.h"

#define BEAT_INTERVAL	HZ
#define LOOK_MS		100	/* between two looks at another kernel's heartbeat */
#define LOOKS		25	/* more than two beats of it */

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

/* It may be stated to be off, rightly, while it begins anew. */
static bool has_number(const struct daxfs_member *member)
{
	return daxfs_load(&member->pool.hosts[member->host]) == member->host_key;
}

/*
 * There is one kernel a host: what an earlier one has left in the table of slots is dead,
 * unless it beats: then there are two machines with one id, or a clone.
 * Return: 0; -EBUSY one is alive; -ESTALE the number is not this host's any more; -EINTR.
 */
static int bury_predecessors(const struct daxfs_member *member)
{
	const struct daxfs_pool *pool = &member->pool;
	u32 host = member->host;
	u64 first = kernel_beats(pool, host);
	u32 i;

	for (i = 0; first && i < LOOKS; i++) {
		if (msleep_interruptible(LOOK_MS))
			return -EINTR;
		if (kernel_beats(pool, host) != first)
			return has_number(member) ? -EBUSY : -ESTALE;
	}
	for (i = 0; first && i < pool->slot_count; i++) {
		u64 word = daxfs_load(&pool->slots[i]);

		if (daxfs_word_state(word) == DAXFS_SLOT_ATTACHED &&
		    daxfs_word_slot(word) == host && daxfs_slot_is_kernel(word) &&
		    has_number(member))
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

	err = daxfs_host_join(pool, own_id, init_utsname()->nodename, &member->host,
			      &member->host_key);
	if (err) {
		daxfs_refuse(fc, "all %u hosts of the pool are taken: fence those gone",
			     pool->host_count);
		return err;
	}
	err = bury_predecessors(member);
	if (err == -EBUSY)
		daxfs_refuse(fc, "another machine is alive as host %pUb: set host_id=", own_id);
	return err;
}

/* Return: 0; -ENOSPC; -ESTALE this host was stated to be off since it joined */
static int take_slot(struct fs_context *fc, struct daxfs_member *member)
{
	const struct daxfs_attacher who = {
		.host = member->host | DAXFS_HOST_KERNEL,
		.key = member->host_key,
	};
	struct daxfs_participant_info own = {
		.heartbeat = ktime_get_real_seconds(),
		.started = ktime_get_real_seconds(),
		.kind = DAXFS_PARTICIPANT_KERNEL,
	};
	int err;
	u32 i;

	for (i = 0; i < member->pool.slot_count; i++) {
		err = daxfs_attach(&member->pool, i, &who, &member->word);
		if (err == -ESTALE)
			return err;
		if (err)
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

/** daxfs_tables_good() - is no page of the tables, of any partition's, known to have failed? */
bool daxfs_tables_good(const struct daxfs_member *member)
{
	u64 length = member->info.device[0].data_offset;
	phys_addr_t at = member->tables;
	u32 i;

	for (i = 0; i < member->info.partition_count; i++, at += member->info.partition_size)
		if (daxfs_good_bytes(at, length) != length)
			return false;
	return true;
}

/* In a pool made anew of the same memory another's slot may have the same word. */
static bool has_slot(const struct daxfs_member *member)
{
	return daxfs_tables_good(member) &&
	       daxfs_load(&member->pool.slots[member->slot]) == member->word &&
	       daxfs_pool_has_epoch(member->super, member->info.epoch);
}

/** daxfs_member_fenced() - has somebody stated that this host is off? Then its slot is not its */
bool daxfs_member_fenced(struct daxfs_member *member)
{
	if (!member->fenced &&
	    (!has_slot(member) || daxfs_partition_over(&member->pool, member->life))) {
		member->fenced = true;
		pr_err("pool %pUb: %s\n", member->info.uuid, daxfs_tables_good(member) ?
		       "fenced, or made anew: images of it may be overwritten" :
		       "memory of its tables has failed: it is left alone");
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

/* Who begins while it is stated to be off, for it was, joins once more. */
static int take_part(struct fs_context *fc, struct daxfs_member *member)
{
	int tries, err = -ESTALE;

	member->host_key = 0;
	for (tries = 0; err == -ESTALE && tries < DAXFS_POOL_TRIES; tries++) {
		err = join_host(fc, member);
		if (err)
			continue;
		member->life = daxfs_partition_begin(&member->pool);
		err = take_slot(fc, member);
	}
	/* The number of a random id is nobody's then; it refuses by itself if it is another's. */
	if (err && member->host_key && own_id_is_random)
		daxfs_host_leave(&member->pool, member->host, member->host_key);
	if (err == -ESTALE)
		daxfs_refuse(fc, "this host is just being stated to be off: try again");
	return err;
}

/**
 * daxfs_member_join() - this kernel takes part in a pool from now on
 * @fc: told what is wrong
 * @member: of that pool, whose device 0 nobody has
 * @region: its device 0, with the tables
 *
 * Context: daxfs_pools_lock is held.
 * Return: 0, or as daxfs_bank_get().
 */
int daxfs_member_join(struct fs_context *fc, struct daxfs_member *member,
		      const struct daxfs_region *region)
{
	int err;

	member->fenced = false;
	member->super = region->kaddr;
	member->tables = region->phys;
	if (!daxfs_tables_good(member)) {
		daxfs_refuse(fc, "memory of the pool's tables has failed");
		return -EIO;
	}
	err = view_pool(fc, member, region);
	if (!err)
		err = take_part(fc, member);
	if (err) {
		forget_partitions(member);
		return err;
	}
	if (own_id_is_random)
		pr_notice_once("no host_id= and no DMI product UUID, random: %pUb\n", own_id);
	pr_debug("pool %pUb at %pa: taking part as host %pUb, slot %u\n", member->info.uuid,
		 &region->phys, own_id, member->slot);
	INIT_DELAYED_WORK(&member->beat, beat);
	queue_delayed_work(daxfs_queue, &member->beat, 0);
	return 0;
}

static void give_back(struct daxfs_member *member)
{
	if (daxfs_member_fenced(member))
		return;
	daxfs_detach(&member->pool, member->slot);
	/* A random id will never be seen again, but by programs that are still there. */
	if (own_id_is_random)
		daxfs_host_leave(&member->pool, member->host, member->host_key);
}

/** daxfs_member_leave() - the end of its part. Context: daxfs_pools_lock is held */
void daxfs_member_leave(struct daxfs_member *member)
{
	cancel_delayed_work_sync(&member->beat);
	give_back(member);
	forget_partitions(member);
}
