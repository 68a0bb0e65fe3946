// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A pool's superblock: counts, devices, and where the tables that follow from them lie. */
#include "pool_open.h"
#include "bytes.h"

#define HOSTS_MAX	4096U
#define OVERFLOW_MAX	65536U
#define BUCKETS_MAX	(1U << 28)
#define HOLDS_MAX	(1U << 26)
#define CHUNKS_MAX	((1U << 27) - 1)	/* their granules are numbered with 32 bits */

#define DEFAULT_HOSTS		64U
#define DEFAULT_SLOTS		256U
#define DEFAULT_HOST_SLOTS	64U	/* of a partition, which is one host's */
#define DEFAULT_OVERFLOW	64U
#define ROWS_MIN		64U
#define ROWS_PER_CHUNK		8U	/* granules / 4, which is more than 2 x chunks */

static __u32 pool_crc(const struct daxfs_pool_super *super)
{
	static const __u8 zero[4];
	__u32 crc = daxfs_crc32c(0, zero, sizeof(zero));
	__u32 version = get32(&super->version);

	crc = daxfs_crc32c(crc, zero, sizeof(zero));
	crc = daxfs_crc32c(crc, &version, sizeof(version));
	crc = daxfs_crc32c(crc, zero, sizeof(zero));
	return daxfs_crc32c(crc, (const __u8 *)super + 16, sizeof(*super) - 16);
}

static __u32 power_of_two_from(__u64 value)
{
	__u32 power = 1;

	while (power < value && power < BUCKETS_MAX)
		power *= 2;
	return power;
}

void daxfs_pool_tables(const struct daxfs_pool_info *info, struct daxfs_pool_map *map)
{
	__u64 rows = info->row_count, slots = info->slot_count, chunks = info->chunk_count;
	__u64 aliases = 8ULL * info->alias_buckets + info->alias_overflow;
	__u64 names = 8ULL * info->name_buckets + info->name_overflow;
	__u64 holds = info->hold_count;
	__u64 size[DAXFS_TABLE_COUNT] = {
		[DAXFS_TABLE_LIVE] = sizeof(struct daxfs_pool_live),
		[DAXFS_TABLE_HOST_KEYS] = 8ULL * info->host_count,
		[DAXFS_TABLE_HOSTS] = sizeof(struct daxfs_pool_host) * (__u64)info->host_count,
		[DAXFS_TABLE_SLOT_WORDS] = 8 * slots,
		[DAXFS_TABLE_SLOTS] = sizeof(struct daxfs_pool_slot) * slots,
		[DAXFS_TABLE_ROW_WORDS] = 8 * rows,
		[DAXFS_TABLE_ROWS] = sizeof(struct daxfs_pool_row) * rows,
		[DAXFS_TABLE_USES] = 8 * slots * daxfs_use_words(info->row_count) *
				     info->partition_count,
		[DAXFS_TABLE_OWNERS] = 8 * chunks,
		[DAXFS_TABLE_LINKS] = 4 * chunks,
		[DAXFS_TABLE_GRANULES] = 8 * chunks * DAXFS_CHUNK_GRANULES,
		[DAXFS_TABLE_ALIAS_WORDS] = 8 * aliases,
		[DAXFS_TABLE_ALIASES] = 8 * DAXFS_ALIAS_WORDS * aliases,
		[DAXFS_TABLE_NAME_WORDS] = 8 * names,
		[DAXFS_TABLE_NAMES] = 8 * DAXFS_NAME_WORDS * names,
		[DAXFS_TABLE_HOLD_WORDS] = 8 * holds,
		[DAXFS_TABLE_HOLD_TARGETS] = 8 * holds,
		[DAXFS_TABLE_HOLDS] = sizeof(struct daxfs_pool_hold) * holds,
		[DAXFS_TABLE_STATED] = info->partition_count > 1 ? 8 * info->partition_count : 0,
	};
	__u64 at = sizeof(struct daxfs_pool_super);
	int i;

	for (i = 0; i < DAXFS_TABLE_COUNT; i++) {
		map->offset[i] = at;
		map->size[i] = size[i];
		at = round_up_to(at + size[i], DAXFS_BLOCK_SIZE);
	}
	map->end = at;
}

static int check_counts(const struct daxfs_pool_info *info, const char **why)
{
	if (!info->device_count || info->device_count > DAXFS_POOL_DEVICES ||
	    info->device_index >= info->device_count)
		return bad(why, "device count out of range");
	if (!info->host_count || info->host_count > HOSTS_MAX)
		return bad(why, "host count out of range");
	if (!info->slot_count || info->slot_count > DAXFS_SLOT_MAX)
		return bad(why, "slot count out of range");
	if (!info->row_count || info->row_count > DAXFS_ROW_MAX)
		return bad(why, "row count out of range");
	if (!info->chunk_count || info->chunk_count > CHUNKS_MAX)
		return bad(why, "chunk count out of range");
	if (!info->hold_count || info->hold_count > HOLDS_MAX)
		return bad(why, "hold count out of range");
	if (!info->alias_buckets || info->alias_buckets > BUCKETS_MAX ||
	    (info->alias_buckets & (info->alias_buckets - 1)) || !info->name_buckets ||
	    info->name_buckets > BUCKETS_MAX || (info->name_buckets & (info->name_buckets - 1)))
		return bad(why, "bucket count out of range");
	if (info->alias_overflow > OVERFLOW_MAX || info->name_overflow > OVERFLOW_MAX)
		return bad(why, "overflow count out of range");
	return 0;
}

static int is_partitioned(const struct daxfs_pool_info *info)
{
	return (info->feature_incompat & DAXFS_POOL_INCOMPAT_PARTITIONED) != 0;
}

static int check_partitions(const struct daxfs_pool_info *info, const char **why)
{
	if (!is_partitioned(info)) {
		if (info->partition || info->partition_count > 1 || info->partition_size ||
		    !all_zero(info->partition_host, sizeof(info->partition_host)))
			return bad(why, "partitions in a pool without");
		return 0;
	}
	if (info->partition_count < 2 || info->partition_count > DAXFS_POOL_PARTITIONS ||
	    info->partition >= info->partition_count)
		return bad(why, "partition count out of range");
	if (info->device_count != 1 || info->host_count != 1)
		return bad(why, "a partition has one device and one host");
	if (info->partition_size != info->device[0].size ||
	    info->partition_size % DAXFS_CHUNK_SIZE ||
	    info->partition_size > DAXFS_SIZE_MAX / info->partition_count)
		return bad(why, "partition size out of range");
	if ((__u64)info->row_count * info->partition_count > DAXFS_ROW_MAX)
		return bad(why, "row count out of range");
	return 0;
}

/* Chunk numbers run through the devices; the tables lie before the first chunk. */
static int check_devices(const struct daxfs_pool_info *info, const char **why)
{
	struct daxfs_pool_map map;
	__u64 chunks = 0;
	__u32 i;

	daxfs_pool_tables(info, &map);
	for (i = 0; i < info->device_count; i++) {
		const struct daxfs_pool_device_info *device = &info->device[i];
		__u64 bytes = (__u64)device->chunk_count << DAXFS_CHUNK_SHIFT;

		if (device->size > DAXFS_SIZE_MAX || device->first_chunk != chunks)
			return bad(why, "devices do not follow each other");
		if (device->data_offset % DAXFS_CHUNK_SIZE ||
		    device->data_offset < (i ? DAXFS_CHUNK_SIZE : map.end))
			return bad(why, "chunks begin inside the tables");
		if (!inside(device->data_offset, bytes, device->size))
			return bad(why, "chunks outside their device");
		chunks += device->chunk_count;
	}
	return chunks == info->chunk_count ? 0 : bad(why, "chunk count is not that of the devices");
}

/* One partition's part of the whole device. */
static void cut(struct daxfs_pool_info *info)
{
	info->feature_incompat |= DAXFS_POOL_INCOMPAT_PARTITIONED;
	info->partition_size = info->device[0].size / info->partition_count;
	info->partition_size -= info->partition_size % DAXFS_CHUNK_SIZE;
	info->device[0].size = info->partition_size;
}

static void default_counts(struct daxfs_pool_info *info, __u64 chunks)
{
	__u64 rows = chunks * ROWS_PER_CHUNK;

	rows = rows < ROWS_MIN ? ROWS_MIN : rows > DAXFS_ROW_MAX ? DAXFS_ROW_MAX : rows;
	if (!info->host_count)
		info->host_count = is_partitioned(info) ? 1 : DEFAULT_HOSTS;
	if (!info->slot_count)
		info->slot_count = is_partitioned(info) ? DEFAULT_HOST_SLOTS : DEFAULT_SLOTS;
	if (!info->row_count)
		info->row_count = (__u32)rows;
	/* Five aliases an object at 80 % load, 8 to a bucket. */
	if (!info->alias_buckets)
		info->alias_buckets = power_of_two_from(5ULL * info->row_count * 10 / 64);
	/* At that load one alias in 5000 finds both its buckets full. */
	if (!info->alias_overflow)
		info->alias_overflow = info->alias_buckets / 256 + DEFAULT_OVERFLOW;
	if (info->alias_overflow > OVERFLOW_MAX)
		info->alias_overflow = OVERFLOW_MAX;
	if (!info->name_buckets)
		info->name_buckets = power_of_two_from(info->row_count / 32 + 8);
	if (!info->name_overflow)
		info->name_overflow = DEFAULT_OVERFLOW;
	if (!info->hold_count)
		info->hold_count = info->row_count / 2 + 64;
}

int daxfs_pool_defaults(struct daxfs_pool_info *info, const char **why)
{
	struct daxfs_pool_map map;
	__u64 chunks = 0, data_offset;
	__u32 i;

	info->version = DAXFS_POOL_VERSION;
	if (!info->device_count || info->device_count > DAXFS_POOL_DEVICES)
		return *why = "device count out of range", -EINVAL;
	if (!info->partition_count)
		info->partition_count = 1;
	if (info->partition_count > DAXFS_POOL_PARTITIONS)
		return *why = "too many hosts for a partitioned pool", -EINVAL;
	if (info->partition_count > 1 && !info->partition_size)
		cut(info);
	for (i = 0; i < info->device_count; i++)
		chunks += info->device[i].size >> DAXFS_CHUNK_SHIFT;
	if (!chunks)
		return *why = "too small for a pool", -EINVAL;
	if (chunks > CHUNKS_MAX)
		return *why = "too large for a pool", -EINVAL;
	default_counts(info, chunks);
	/* Tables with room for all; then the chunks that are left beside them. */
	info->chunk_count = (__u32)chunks;
	daxfs_pool_tables(info, &map);
	data_offset = round_up_to(map.end, DAXFS_CHUNK_SIZE);
	for (i = 0, chunks = 0; i < info->device_count; i++) {
		struct daxfs_pool_device_info *device = &info->device[i];

		device->data_offset = i ? DAXFS_CHUNK_SIZE : data_offset;
		device->first_chunk = (__u32)chunks;
		if (device->size < device->data_offset + DAXFS_CHUNK_SIZE)
			return *why = "too small for its tables and one chunk", -EINVAL;
		device->chunk_count =
			(__u32)((device->size - device->data_offset) >> DAXFS_CHUNK_SHIFT);
		chunks += device->chunk_count;
	}
	info->chunk_count = (__u32)chunks;
	if (check_counts(info, why) || check_partitions(info, why) || check_devices(info, why))
		return -EINVAL;
	return 0;
}

void daxfs_pool_format(void *base, const struct daxfs_pool_info *info, __u32 index)
{
	struct daxfs_pool_super *super = base;
	__u32 i;

	memset(super, 0, sizeof(*super));
	super->version = __cpu_to_le32(info->version);
	super->feature_compat = __cpu_to_le64(info->feature_compat);
	super->feature_ro_compat = __cpu_to_le64(info->feature_ro_compat);
	super->feature_incompat = __cpu_to_le64(info->feature_incompat);
	memcpy(super->uuid, info->uuid, sizeof(super->uuid));
	memcpy(super->epoch, info->epoch, sizeof(super->epoch));
	memcpy(super->label, info->label, sizeof(super->label));
	super->created = __cpu_to_le64(info->created);
	super->device_index = __cpu_to_le32(index);
	super->device_count = __cpu_to_le32(info->device_count);
	super->host_count = __cpu_to_le32(info->host_count);
	super->slot_count = __cpu_to_le32(info->slot_count);
	super->row_count = __cpu_to_le32(info->row_count);
	super->chunk_count = __cpu_to_le32(info->chunk_count);
	super->alias_buckets = __cpu_to_le32(info->alias_buckets);
	super->alias_overflow = __cpu_to_le32(info->alias_overflow);
	super->name_buckets = __cpu_to_le32(info->name_buckets);
	super->name_overflow = __cpu_to_le32(info->name_overflow);
	super->hold_count = __cpu_to_le32(info->hold_count);
	if (is_partitioned(info)) {
		super->partition_size = __cpu_to_le64(info->partition_size);
		super->partition = __cpu_to_le32(info->partition);
		super->partition_count = __cpu_to_le32(info->partition_count);
		memcpy(super->partition_host, info->partition_host,
		       sizeof(super->partition_host));
	}
	for (i = 0; i < info->device_count; i++) {
		const struct daxfs_pool_device_info *from = &info->device[i];
		struct daxfs_pool_device *device = &super->device[i];

		memcpy(device->uuid, from->uuid, sizeof(device->uuid));
		device->size = __cpu_to_le64(from->size);
		device->data_offset = __cpu_to_le64(from->data_offset);
		device->first_chunk = __cpu_to_le32(from->first_chunk);
		device->chunk_count = __cpu_to_le32(from->chunk_count);
	}
	super->crc32c = __cpu_to_le32(pool_crc(super));
	daxfs_publish(super, sizeof(*super));
	super->magic = __cpu_to_le64(DAXFS_POOL_MAGIC);
}

static void read_numbers(struct daxfs_pool_info *info, const struct daxfs_pool_super *super)
{
	__u32 i;

	info->feature_compat = get64(&super->feature_compat);
	info->feature_ro_compat = get64(&super->feature_ro_compat);
	info->feature_incompat = get64(&super->feature_incompat);
	memcpy(info->uuid, super->uuid, sizeof(info->uuid));
	memcpy(info->epoch, super->epoch, sizeof(info->epoch));
	memcpy(info->label, super->label, sizeof(super->label));
	info->label[sizeof(super->label)] = 0;
	info->created = get64(&super->created);
	info->device_index = get32(&super->device_index);
	info->device_count = get32(&super->device_count);
	info->host_count = get32(&super->host_count);
	info->slot_count = get32(&super->slot_count);
	info->row_count = get32(&super->row_count);
	info->chunk_count = get32(&super->chunk_count);
	info->alias_buckets = get32(&super->alias_buckets);
	info->alias_overflow = get32(&super->alias_overflow);
	info->name_buckets = get32(&super->name_buckets);
	info->name_overflow = get32(&super->name_overflow);
	info->hold_count = get32(&super->hold_count);
	info->partition_size = get64(&super->partition_size);
	info->partition = get32(&super->partition);
	info->partition_count = get32(&super->partition_count);
	memcpy(info->partition_host, super->partition_host, sizeof(info->partition_host));
	if (!info->partition_count)
		info->partition_count = 1;
	for (i = 0; i < DAXFS_POOL_DEVICES; i++) {
		const struct daxfs_pool_device *from = &super->device[i];
		struct daxfs_pool_device_info *device = &info->device[i];

		memcpy(device->uuid, from->uuid, sizeof(device->uuid));
		device->size = get64(&from->size);
		device->data_offset = get64(&from->data_offset);
		device->first_chunk = get32(&from->first_chunk);
		device->chunk_count = get32(&from->chunk_count);
	}
}

int daxfs_pool_has_epoch(const void *base, const __u8 *epoch)
{
	const struct daxfs_pool_super *super = base;

	return !memcmp(super->epoch, epoch, sizeof(super->epoch));
}

int daxfs_pool_read_super(struct daxfs_pool_info *info, const void *base, __u64 size,
			  const char **why)
{
	const struct daxfs_pool_super *super = base;
	int err;

	if (size < sizeof(*super))
		return *why = "shorter than a superblock", -EINVAL;
	if (get64(&super->magic) != DAXFS_POOL_MAGIC)
		return *why = "no DAXFS pool", -EINVAL;
	info->version = get32(&super->version);
	if (info->version != DAXFS_POOL_VERSION)
		return *why = "pool version unknown, a newer daxfs is needed", -EOPNOTSUPP;
	if (get32(&super->crc32c) != pool_crc(super))
		return bad(why, "checksum of the pool's superblock");
	read_numbers(info, super);
	if (info->feature_incompat & ~DAXFS_POOL_INCOMPAT_KNOWN)
		return *why = "pool feature unknown, a newer daxfs is needed", -EOPNOTSUPP;
	if (get32(&super->reserved0) || !all_zero(super->reserved1, sizeof(super->reserved1)))
		return bad(why, "reserved bytes of the pool's superblock are not zero");
	err = check_counts(info, why);
	if (!err)
		err = check_partitions(info, why);
	return err ? err : check_devices(info, why);
}

/* Everything but which partition it is and whose, and the checksum over that. */
static int same_but_partition(const __u8 *one, const __u8 *other)
{
	__u32 number = offsetof(struct daxfs_pool_super, partition);
	__u32 count = offsetof(struct daxfs_pool_super, partition_count);
	__u32 host = offsetof(struct daxfs_pool_super, partition_host);
	__u32 behind = offsetof(struct daxfs_pool_super, reserved1);

	return !memcmp(one + 16, other + 16, number - 16) &&
	       !memcmp(one + count, other + count, host - count) &&
	       !memcmp(one + behind, other + behind, sizeof(struct daxfs_pool_super) - behind);
}

int daxfs_partition_read(struct daxfs_pool_info *info, const void *base, __u64 partition_size,
			 __u32 number, const char **why)
{
	const __u8 *first = base;
	const __u8 *super = first + number * partition_size;
	int err;

	err = daxfs_pool_read_super(info, super, partition_size, why);
	if (err)
		return err == -EINVAL ? bad(why, "a partition has no superblock") : err;
	if (info->partition != number || !same_but_partition(first, super))
		return bad(why, "the partitions of the pool contradict each other");
	return 0;
}

int daxfs_pool_writable(const struct daxfs_pool_info *info)
{
	return !(info->feature_ro_compat & ~DAXFS_POOL_RO_COMPAT_KNOWN);
}

static __u64 seed_of(const __u8 *bytes)
{
	__u64 seed = 0;
	int i;

	for (i = 0; i < 8; i++)
		seed |= (__u64)bytes[i] << (8 * i);
	return seed;
}

static void view_index(struct daxfs_index *index, const struct daxfs_pool_info *info,
		       struct daxfs_word *words, struct daxfs_word *bodies)
{
	index->words = words;
	index->bodies = bodies;
	index->seed[0] = seed_of(info->epoch);
	index->seed[1] = seed_of(info->epoch + 8);
}

void daxfs_pool_view(struct daxfs_pool *pool, const struct daxfs_pool_info *info, void *base)
{
	struct daxfs_pool_live *live;
	struct daxfs_pool_map map;
	__u8 *at = base;

	daxfs_pool_tables(info, &map);
	memset(pool, 0, sizeof(*pool));
	pool->hosts = (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_HOST_KEYS]);
	pool->host_records = (struct daxfs_pool_host *)(at + map.offset[DAXFS_TABLE_HOSTS]);
	pool->slots = (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_SLOT_WORDS]);
	pool->slot_records = (struct daxfs_pool_slot *)(at + map.offset[DAXFS_TABLE_SLOTS]);
	pool->rows = (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_ROW_WORDS]);
	pool->row_records = (struct daxfs_pool_row *)(at + map.offset[DAXFS_TABLE_ROWS]);
	pool->uses = (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_USES]);
	pool->owners = (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_OWNERS]);
	pool->links = (daxfs_le32 *)(at + map.offset[DAXFS_TABLE_LINKS]);
	pool->granules = (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_GRANULES]);
	pool->hold_states = (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_HOLD_WORDS]);
	pool->hold_targets = (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_HOLD_TARGETS]);
	pool->hold_records = (struct daxfs_pool_hold *)(at + map.offset[DAXFS_TABLE_HOLDS]);
	pool->stated = (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_STATED]);
	pool->partition = info->partition;
	pool->partition_count = info->partition_count;
	pool->host_count = info->host_count;
	pool->slot_count = info->slot_count;
	pool->row_count = info->row_count;
	pool->use_words = daxfs_use_words(info->row_count);
	pool->owner_count = info->chunk_count;
	pool->granule_count = info->chunk_count * DAXFS_CHUNK_GRANULES;
	pool->hold_count = info->hold_count;
	live = (struct daxfs_pool_live *)(at + map.offset[DAXFS_TABLE_LIVE]);
	view_index(&pool->aliases, info,
		   (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_ALIAS_WORDS]),
		   (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_ALIASES]));
	pool->aliases.overflow_used = &live->alias_overflow;
	pool->aliases.body_words = DAXFS_ALIAS_WORDS;
	pool->aliases.buckets = info->alias_buckets;
	pool->aliases.overflow = info->alias_overflow;
	view_index(&pool->names, info,
		   (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_NAME_WORDS]),
		   (struct daxfs_word *)(at + map.offset[DAXFS_TABLE_NAMES]));
	pool->names.overflow_used = &live->name_overflow;
	pool->names.body_words = DAXFS_NAME_WORDS;
	pool->names.buckets = info->name_buckets;
	pool->names.overflow = info->name_overflow;
}

void daxfs_partitions_view(struct daxfs_pool *pools, const struct daxfs_pool_info *info,
			   void *base, __u32 own)
{
	struct daxfs_pool_info each = *info;
	__u32 i;

	for (i = 0; i < info->partition_count; i++) {
		enum daxfs_role role = i == own ? DAXFS_ROLE_HOME : DAXFS_ROLE_FAR;

		each.partition = i;
		daxfs_pool_view(&pools[i], &each, (__u8 *)base + i * info->partition_size);
		pools[i].partitions = pools;
		pools[i].role = role;
		pools[i].aliases.role = role;
		pools[i].names.role = role;
	}
}

int daxfs_chunk_device(const struct daxfs_pool_info *info, __u32 chunk, __u32 *device,
		       __u64 *offset)
{
	__u32 i;

	for (i = 0; i < info->device_count; i++) {
		const struct daxfs_pool_device_info *d = &info->device[i];

		if (chunk < d->first_chunk || chunk - d->first_chunk >= d->chunk_count)
			continue;
		*device = i;
		*offset = d->data_offset +
			  ((__u64)(chunk - d->first_chunk) << DAXFS_CHUNK_SHIFT);
		return 0;
	}
	return -ENOENT;
}
