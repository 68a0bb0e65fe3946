// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects: images of a pool that this kernel uses. A use keeps an object's chunks from
 * being given to another. Pages of them may be referenced when its last mount has gone
 * (region.c says how), so an object without users is given up only once its chunks are
 * idle; until then it is parked: a worker looks again, and a new mount takes it back.
 */
#define pr_fmt(fmt) "daxfs: " fmt

#include <crypto/sha2.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "pools.h"

#define DRAIN_INTERVAL	(HZ / 4)
#define FIND_TRIES	16	/* while others keep changing what is looked at */
#define DIGEST_PREFIX	"sha256:"

/* What a digest may name, in the order of looking. */
static const u32 digest_kinds[] = {
	DAXFS_ALIAS_ROOT, DAXFS_ALIAS_DIFF_ID, DAXFS_ALIAS_BLOB, DAXFS_ALIAS_CHAIN,
};

static bool object_idle(const struct daxfs_object *object)
{
	phys_addr_t phys;
	u32 i;

	for (i = 0; i < object->chunk_count; i++) {
		phys = (phys_addr_t)object->chunks[i] << DAXFS_CHUNK_SHIFT;
		if (!daxfs_chunk_idle(phys))
			daxfs_devices_unmap(object->member, phys);
		if (!daxfs_chunk_idle(phys))
			return false;
		cond_resched();
	}
	return true;
}

static u64 target_of(const struct daxfs_object *object)
{
	return daxfs_target(object->home, object->row, object->generation);
}

static void object_destroy(struct daxfs_object *object)
{
	struct daxfs_member *member = object->member;
	unsigned long banks = object->banks;
	unsigned int i;

	list_del(&object->list);
	/* Of a slot that is not this kernel's any more, not a bit may be touched. */
	if (!daxfs_member_fenced(member))
		daxfs_target_drop(&member->pool, member->slot, target_of(object));
	kvfree(object->chunks);
	kfree(object);
	for_each_set_bit(i, &banks, DAXFS_POOL_DEVICES)
		daxfs_bank_put(&member->bank[i]);
}

/* Looks again at a parked object; ends when a mount took it back or its pages are idle. */
static void drain_object(struct work_struct *work)
{
	struct daxfs_object *object =
		container_of(to_delayed_work(work), struct daxfs_object, drain);

	mutex_lock(&daxfs_pools_lock);
	if (object->users) {
		object->draining = false;
	} else if (object_idle(object)) {
		pr_info("pages of image sha256:%*phN are idle, its use is given up\n",
			DAXFS_DIGEST_SIZE, object->digest);
		object_destroy(object);
		module_put(THIS_MODULE);
	} else {
		queue_delayed_work(daxfs_queue, &object->drain, DRAIN_INTERVAL);
	}
	mutex_unlock(&daxfs_pools_lock);
}

/* A parked object holds the module, which must be there to give it up. */
static void object_park(struct daxfs_object *object)
{
	__module_get(THIS_MODULE);
	if (object->draining)
		return;
	object->draining = true;
	pr_info("pages of image sha256:%*phN are still referenced, it stays until they are not\n",
		DAXFS_DIGEST_SIZE, object->digest);
	queue_delayed_work(daxfs_queue, &object->drain, DRAIN_INTERVAL);
}

/* What the row says of its memory, once, into the kernel's own. */
static int copy_chunks(struct daxfs_object *object, const struct daxfs_object_info *info,
		       const char **why)
{
	int err;

	object->chunk_count = info->granule_count ? 1 : info->chunk_count;
	*why = "object of more chunks than there are";
	if (object->chunk_count > object->home->owner_count)
		return -EUCLEAN;
	*why = "out of memory";
	object->chunks = kvmalloc_array(max(object->chunk_count, 1U), sizeof(*object->chunks),
					GFP_KERNEL);
	if (!object->chunks)
		return -ENOMEM;
	err = daxfs_object_chunks(object->home, object->row, object->generation, info,
				  object->chunks, object->chunk_count, why);
	if (err)
		return err;
	*why = "object shorter than a superblock";
	return info->size < DAXFS_BLOCK_SIZE ? -EUCLEAN : 0;
}

/* From the pool's numbers of chunks to physical ones, all on banks that are there. */
static int locate_chunks(struct fs_context *fc, struct daxfs_object *object)
{
	const struct daxfs_member *member = object->member;
	unsigned long missing = 0;
	u32 i, index;
	u64 at;

	object->banks = BIT(0);
	for (i = 0; i < object->chunk_count; i++) {
		if (daxfs_chunk_device(&member->info, object->chunks[i], &index, &at)) {
			daxfs_refuse(fc, "chunk %u is on none of the pool's devices",
				     object->chunks[i]);
			return -EUCLEAN;
		}
		if (!member->bank[index].region) {
			missing |= BIT(index);
			continue;
		}
		at += object->home->partition * member->info.partition_size;
		if (at + DAXFS_CHUNK_SIZE > member->bank[index].region->size) {
			daxfs_refuse(fc, "pool %pUb has grown beyond size=%llu: attach all of it",
				     member->info.uuid, member->bank[index].region->size);
			return -EFBIG;
		}
		/* Of another host's object, this one's caches may have what was there before. */
		daxfs_bytes_anew(object->home->role, member->bank[index].region->kaddr + at,
				 DAXFS_CHUNK_SIZE);
		cond_resched();
		object->banks |= BIT(index);
		object->chunks[i] = (member->bank[index].region->phys + at) >> DAXFS_CHUNK_SHIFT;
	}
	for_each_set_bit(index, &missing, DAXFS_POOL_DEVICES)
		daxfs_refuse(fc, "device %pUb of pool %pUb is missing",
			     member->info.device[index].uuid, member->info.uuid);
	return missing ? -ENODEV : 0;
}

static void place_object(struct daxfs_object *object, const struct daxfs_object_info *info)
{
	if (info->granule_count)
		daxfs_place_granules(&object->place, (u64)object->chunks[0] << DAXFS_CHUNK_SHIFT,
				     info->first % DAXFS_CHUNK_GRANULES,
				     (u64)info->granule_count << DAXFS_GRANULE_SHIFT);
	else
		daxfs_place_chunks(&object->place, 0, object->chunks, object->chunk_count);
}

/* The slot has a use of the row; it is dropped by the caller on failure. */
static int object_fill(struct fs_context *fc, struct daxfs_object *object,
		       const struct daxfs_key *key, const char **why)
{
	struct daxfs_object_info info;
	struct daxfs_key found;
	int err;

	daxfs_object_read(object->home, object->row, &info);
	*why = "that is no image but an object of another kind";
	if (info.kind != DAXFS_OBJECT_IMAGE)
		return -EINVAL;
	daxfs_key_make(&found, DAXFS_ALIAS_ROOT, info.digest);
	*why = "object has another digest than the one it was found by";
	if (key->kind == DAXFS_ALIAS_ROOT &&
	    memcmp(found.digest, key->digest, sizeof(found.digest)))
		return -EUCLEAN;
	memcpy(object->digest, info.digest, sizeof(object->digest));
	err = copy_chunks(object, &info, why);
	if (err)
		return err;
	*why = NULL;	/* it says so itself */
	err = locate_chunks(fc, object);
	if (err)
		return err;
	place_object(object, &info);
	return 0;
}

static struct daxfs_object *object_create(struct fs_context *fc, struct daxfs_member *member,
					  u64 target, const struct daxfs_key *key,
					  const char **why)
{
	struct daxfs_object *object = kzalloc(sizeof(*object), GFP_KERNEL);
	unsigned int i;
	int err = -ENOMEM;

	*why = "out of memory";
	if (!object)
		goto drop;
	object->member = member;
	object->home = daxfs_target_home(&member->pool, target, &object->row);
	object->generation = daxfs_word_generation(target);
	object->users = 1;
	INIT_DELAYED_WORK(&object->drain, drain_object);
	err = object_fill(fc, object, key, why);
	if (err)
		goto free;
	list_add(&object->list, &member->objects);
	for_each_set_bit(i, &object->banks, DAXFS_POOL_DEVICES)
		daxfs_bank_hold(&member->bank[i]);
	return object;
free:
	kvfree(object->chunks);
	kfree(object);
drop:
	if (!daxfs_member_fenced(member))
		daxfs_target_drop(&member->pool, member->slot, target);
	return ERR_PTR(err);
}

static struct daxfs_object *object_of_row(struct daxfs_member *member,
					  const struct daxfs_pool *home, u32 row)
{
	struct daxfs_object *object;

	list_for_each_entry(object, &member->objects, list)
		if (object->home == home && object->row == row)
			return object;
	return NULL;
}

/* From a row of which the slot has a use to the kernel's one object for it. */
static struct daxfs_object *object_of(struct fs_context *fc, struct daxfs_member *member,
				      const struct daxfs_alias *alias,
				      const struct daxfs_key *key, const char **why)
{
	const struct daxfs_pool *pool = &member->pool;
	struct daxfs_object *object;
	u32 row;
	const struct daxfs_pool *home = daxfs_target_home(pool, alias->target, &row);
	int err;

	/* For whoever decides what to collect; in its own partition. */
	if (home == pool)
		daxfs_store(&pool->row_records[row].used, ktime_get_real_seconds());
	object = object_of_row(member, home, row);
	if (!object) {
		/* Whoever has set the bit, it may not have been seen: the whole rule again. */
		err = daxfs_target_take(pool, member->slot, alias->target);
		*why = "image is just being removed";
		return err ? ERR_PTR(err) :
			     object_create(fc, member, alias->target, key, why);
	}
	*why = "row in use has begun another life, this host was fenced or the pool is damaged";
	if (object->generation != daxfs_word_generation(alias->target))
		return ERR_PTR(-ESTALE);
	if (!object->users++)
		module_put(THIS_MODULE);	/* it was parked */
	return object;
}

/* The row that @text names in a partition, with a use of it. */
static int find_row_in(struct daxfs_member *member, const struct daxfs_pool *home,
		       const char *text, struct daxfs_key *key, struct daxfs_alias *alias)
{
	const struct daxfs_pool *pool = &member->pool;
	u8 digest[SHA256_DIGEST_SIZE];
	int had, err = -ENOENT;
	unsigned int i;

	if (strncmp(text, DIGEST_PREFIX, strlen(DIGEST_PREFIX))) {
		sha256(text, strlen(text), digest);
		daxfs_key_make(key, DAXFS_ALIAS_NAME, digest);
		return daxfs_object_find(pool, member->slot, home, &home->names, key, alias,
					 &had);
	}
	text += strlen(DIGEST_PREFIX);
	if (strlen(text) != 2 * sizeof(digest) || hex2bin(digest, text, sizeof(digest)))
		return -EINVAL;
	for (i = 0; err == -ENOENT && i < ARRAY_SIZE(digest_kinds); i++) {
		daxfs_key_make(key, digest_kinds[i], digest);
		err = daxfs_object_find(pool, member->slot, home, &home->aliases, key, alias,
					&had);
	}
	return err;
}

/* In this host's partition first, then in the others'. */
static int find_row(struct daxfs_member *member, const char *text, struct daxfs_key *key,
		    struct daxfs_alias *alias)
{
	const struct daxfs_pool *pool = &member->pool;
	int err = find_row_in(member, pool, text, key, alias);
	u32 i;

	for (i = 0; err == -ENOENT && i < pool->partition_count; i++)
		if (i != pool->partition)
			err = find_row_in(member, &pool->partitions[i], text, key, alias);
	return err;
}

static struct daxfs_object *find_object(struct fs_context *fc, struct daxfs_member *member,
					const char *image)
{
	struct daxfs_object *object;
	struct daxfs_alias alias;
	struct daxfs_key key;
	const char *why;
	int tries, err;

	if (!member->bank[0].region) {
		daxfs_refuse(fc, "device %pUb of pool %pUb, which has its tables, is missing",
			     member->info.device[0].uuid, member->info.uuid);
		return ERR_PTR(-ENODEV);
	}
	if (daxfs_member_fenced(member)) {
		if (!daxfs_tables_good(member)) {
			daxfs_refuse(fc, "memory of the pool's tables has failed");
			return ERR_PTR(-EIO);
		}
		daxfs_refuse(fc, "this host was stated to be off: unmount the pool's images");
		return ERR_PTR(-ESTALE);
	}
	for (tries = 0; tries < FIND_TRIES; tries++) {
		err = find_row(member, image, &key, &alias);
		if (err != -EAGAIN)
			break;
		cond_resched();
	}
	if (err == -EINVAL)
		daxfs_refuse(fc, "image=%s: not 64 hexadecimal digits behind sha256:", image);
	else if (err == -ENOENT)
		daxfs_refuse(fc, "image=%s: not in pool %pUb (daxfsctl pool ls shows what is)",
			     image, member->info.uuid);
	else if (err)
		daxfs_refuse(fc, "image=%s: others change it all the time, try again", image);
	if (err)
		return ERR_PTR(err);
	object = object_of(fc, member, &alias, &key, &why);
	if (IS_ERR(object) && why)
		daxfs_refuse(fc, "image=%s: %s", image, why);
	return object;
}

/**
 * daxfs_object_get() - an image of a pool, with a use of it
 * @fc: told what is wrong
 * @region: any device of the pool; the caller is a user of it
 * @image: a name, or sha256: and a digest
 *
 * Return: the object, which is one for each image; or ERR_PTR: as daxfs_bank_get(), -ENOENT,
 * -ENODEV not all of its devices are there, -EINVAL no digest or no image, -EUCLEAN, -EAGAIN,
 * -ESTALE.
 */
struct daxfs_object *daxfs_object_get(struct fs_context *fc, struct daxfs_region *region,
				      const char *image)
{
	struct daxfs_object *object;
	struct daxfs_bank *bank;

	mutex_lock(&daxfs_pools_lock);
	bank = daxfs_bank_get(fc, region);
	if (IS_ERR(bank)) {
		object = ERR_CAST(bank);
	} else {
		object = find_object(fc, bank->member, image);
		daxfs_bank_put(bank);
	}
	mutex_unlock(&daxfs_pools_lock);
	return object;
}

/**
 * daxfs_object_put() - stop using an object
 * @object: from daxfs_object_get()
 *
 * The last user gives up the kernel's use of it, or parks it while pages are referenced.
 */
void daxfs_object_put(struct daxfs_object *object)
{
	mutex_lock(&daxfs_pools_lock);
	if (!--object->users) {
		if (!object->draining && object_idle(object))
			object_destroy(object);
		else
			object_park(object);
	}
	mutex_unlock(&daxfs_pools_lock);
}
