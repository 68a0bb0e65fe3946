// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Records beside the words: numbers and texts, and what they say about memory. */
#include "pool_record.h"
#include "pool_slot.h"
#include "bytes.h"

/* What other hosts check an object in granules against; nobody wrote it for them before. */
static void write_granules(const struct daxfs_pool *pool, const struct daxfs_object_info *object)
{
	const struct daxfs_word *owner = &pool->owners[object->first / DAXFS_CHUNK_GRANULES];
	const struct daxfs_word *granules = &pool->granules[object->first];

	daxfs_stored(pool->role, owner, sizeof(*owner), DAXFS_RULE(CALLER_WRITES));
	daxfs_stored(pool->role, granules, sizeof(*granules) * object->granule_count,
		     DAXFS_RULE(CALLER_WRITES));
}

void daxfs_object_write(const struct daxfs_pool *pool, __u32 row,
			const struct daxfs_object_info *object)
{
	struct daxfs_pool_row *record = &pool->row_records[row];

	daxfs_store(&record->progress, object->progress);
	daxfs_store(&record->used, object->used);
	record->size = __cpu_to_le64(object->size);
	record->created = __cpu_to_le64(object->created);
	record->kind = __cpu_to_le32(object->kind);
	record->first = __cpu_to_le32(object->first);
	record->chunk_count = __cpu_to_le32(object->chunk_count);
	record->granule_count = __cpu_to_le32(object->granule_count);
	memcpy(record->digest, object->digest, sizeof(record->digest));
	memset(record->reserved, 0, sizeof(record->reserved));
	daxfs_bytes_written(pool->role, record, sizeof(*record));
	if (object->granule_count)
		write_granules(pool, object);
}

void daxfs_object_read(const struct daxfs_pool *pool, __u32 row, struct daxfs_object_info *object)
{
	const struct daxfs_pool_row *record = &pool->row_records[row];

	daxfs_bytes_anew(pool->role, record, sizeof(*record));
	object->progress = daxfs_load(&record->progress);
	object->used = daxfs_load(&record->used);
	object->size = get64(&record->size);
	object->created = get64(&record->created);
	object->kind = get32(&record->kind);
	object->first = get32(&record->first);
	object->chunk_count = get32(&record->chunk_count);
	object->granule_count = get32(&record->granule_count);
	memcpy(object->digest, record->digest, sizeof(object->digest));
}

void daxfs_link_write(const struct daxfs_pool *pool, __u32 chunk, __u32 next)
{
	const struct daxfs_word *owner = &pool->owners[chunk];

	pool->links[chunk] = __cpu_to_le32(next);
	daxfs_stored(pool->role, &pool->links[chunk], sizeof(next), DAXFS_RULE(CALLER_WRITES));
	daxfs_stored(pool->role, owner, sizeof(*owner), DAXFS_RULE(CALLER_WRITES));
}

static int check_granules(const struct daxfs_pool *pool, __u64 owner,
			  const struct daxfs_object_info *object, const char **why)
{
	const struct daxfs_word *chunk;
	__u32 i;

	if (object->first >= pool->granule_count ||
	    object->granule_count > DAXFS_CHUNK_GRANULES -
				    object->first % DAXFS_CHUNK_GRANULES)
		return bad(why, "granules outside their chunk");
	if (object->size > (__u64)object->granule_count << DAXFS_GRANULE_SHIFT)
		return bad(why, "object larger than its granules");
	chunk = &pool->owners[object->first / DAXFS_CHUNK_GRANULES];
	if (!daxfs_owner_is_split(daxfs_load_anew(pool->role, chunk,
						  DAXFS_RULE(CALLER_REFRESHES))))
		return bad(why, "granules in a chunk that is not split");
	for (i = 0; i < object->granule_count; i++)
		if (daxfs_load_anew(pool->role, &pool->granules[object->first + i],
				    DAXFS_RULE(CALLER_REFRESHES)) != owner)
			return bad(why, "granule belongs to another object");
	return 0;
}

int daxfs_object_chunks(const struct daxfs_pool *pool, __u32 row, __u64 generation,
			const struct daxfs_object_info *object, __u32 *chunks, __u32 room,
			const char **why)
{
	__u64 owner = daxfs_reference(row, generation);
	__u32 chunk = object->first;
	__u32 i;
	int err;

	if (!object->chunk_count == !object->granule_count)
		return bad(why, "object in neither chunks nor granules");
	if (object->granule_count) {
		err = check_granules(pool, owner, object, why);
		if (!err && chunks && !room)
			return -ENOSPC;
		if (!err && chunks)
			chunks[0] = object->first / DAXFS_CHUNK_GRANULES;
		return err;
	}
	if (object->chunk_count > pool->owner_count)
		return bad(why, "object of more chunks than there are");
	if (object->size > (__u64)object->chunk_count << DAXFS_CHUNK_SHIFT)
		return bad(why, "object larger than its chunks");
	if (chunks && object->chunk_count > room)
		return -ENOSPC;
	for (i = 0; i < object->chunk_count; i++) {
		if (chunk >= pool->owner_count)
			return bad(why, "chain of chunks leaves the pool");
		if (daxfs_load_anew(pool->role, &pool->owners[chunk],
				    DAXFS_RULE(CALLER_REFRESHES)) != owner)
			return bad(why, "chunk belongs to another object");
		if (chunks)
			chunks[i] = chunk;
		daxfs_bytes_anew(pool->role, &pool->links[chunk], sizeof(chunk));
		chunk = get32(&pool->links[chunk]);
	}
	return chunk == DAXFS_NO_CHUNK ? 0 : bad(why, "chain of chunks does not end");
}

void daxfs_participant_write(const struct daxfs_pool *pool, __u32 slot,
			     const struct daxfs_participant_info *participant)
{
	static const __u64 nothing[DAXFS_CONTENTION_COUNT];
	struct daxfs_pool_slot *record = &pool->slot_records[slot];

	daxfs_store(&record->heartbeat, participant->heartbeat);
	record->started = __cpu_to_le64(participant->started);
	record->pid = __cpu_to_le32(participant->pid);
	record->kind = __cpu_to_le32(participant->kind);
	memcpy(record->name, participant->name, sizeof(record->name));
	daxfs_stored(pool->role, record, sizeof(*record), DAXFS_RULE(CALLER_WRITES));
	daxfs_contention_write(pool, slot, nothing);
}

void daxfs_participant_read(const struct daxfs_pool *pool, __u32 slot,
			    struct daxfs_participant_info *participant)
{
	const struct daxfs_pool_slot *record = &pool->slot_records[slot];

	participant->heartbeat = daxfs_load(&record->heartbeat);
	participant->started = get64(&record->started);
	participant->pid = get32(&record->pid);
	participant->kind = get32(&record->kind);
	memcpy(participant->name, record->name, sizeof(record->name));
	participant->name[sizeof(record->name)] = 0;
	participant->lock = daxfs_load(&record->lock);
}

/* Of a key; who has the same has the same id, or one chance in 2^48. */
static __u64 host_hash(const __u8 *id)
{
	__u64 hash = 0xcbf29ce484222325ULL;
	int i;

	for (i = 0; i < 16; i++)
		hash = (hash ^ id[i]) * 0x100000001b3ULL;
	return daxfs_key_is_free(hash) ? 0x10000 : hash & ~0xffffULL;
}

static int is_key_of(__u64 key, __u64 hash)
{
	return key == daxfs_key_staying(key) && (key & ~0xffffULL) == hash;
}

static int host_find(const struct daxfs_pool *pool, __u64 hash, __u32 *host, __u64 *key)
{
	__u32 i;

	for (i = 0; i < pool->host_count; i++) {
		*key = daxfs_load(&pool->hosts[i]);
		if (!is_key_of(*key, hash))
			continue;
		*host = i;
		return 0;
	}
	return -ENOENT;
}

/* The swap of the key makes the host known; whoever died behind it left the rest to the next. */
static void write_host(const struct daxfs_pool *pool, __u32 host, __u64 key, const __u8 *id,
		       const char *name)
{
	struct daxfs_pool_host *record = &pool->host_records[host];
	__u8 text[sizeof(record->name)] = {};
	__u32 n;

	for (n = 0; name[n] && n < sizeof(text); n++)
		text[n] = (__u8)name[n];
	/* Who is slow leaves the number's next owner alone. */
	if ((memcmp(record->id, id, sizeof(record->id)) ||
	     memcmp(record->name, text, sizeof(text))) &&
	    daxfs_load(&pool->hosts[host]) == key) {
		memcpy(record->id, id, sizeof(record->id));
		memcpy(record->name, text, sizeof(text));
	}
	daxfs_stored(pool->role, record, sizeof(*record), DAXFS_RULE(CALLER_WRITES));
	daxfs_stored(pool->role, &pool->hosts[host], sizeof(*pool->hosts),
		     DAXFS_RULE(CALLER_WRITES));
}

/* What the number's last owner said. */
static void forget_host(const struct daxfs_pool *pool, __u32 host)
{
	struct daxfs_pool_host *record = &pool->host_records[host];
	int i;

	daxfs_store(&record->boot, 0);
	daxfs_store(&record->heartbeat, 0);
	for (i = 0; i < DAXFS_CONTENTION_COUNT / 2; i++)
		daxfs_store(&record->contention[i], 0);
}

/* A number that is nobody's, or that its kernel or a program has taken just now. */
static int host_take(const struct daxfs_pool *pool, __u64 hash, __u32 *host, __u64 *key)
{
	__u32 i;

	for (i = 0; i < pool->host_count; i++) {
		__u64 found = daxfs_load(&pool->hosts[i]);
		__u64 mine = daxfs_key_staying(hash | found);

		if (daxfs_key_is_free(found)) {
			*key = daxfs_cas(&pool->hosts[i], found, mine);
			if (*key == found) {
				forget_host(pool, i);
				*key = mine;
			}
		} else {
			*key = found;
		}
		*host = i;
		if (is_key_of(*key, hash))
			return 0;
	}
	return -ENOSPC;
}

int daxfs_host_join(const struct daxfs_pool *pool, const __u8 *id, const char *name, __u32 *host,
		    __u64 *key)
{
	__u64 hash = host_hash(id);

	if (host_find(pool, hash, host, key) && host_take(pool, hash, host, key)) {
		*key = 0;	/* it is another's */
		return -ENOSPC;
	}
	write_host(pool, *host, *key, id, name);
	return 0;
}

void daxfs_host_set_boot(const struct daxfs_pool *pool, __u32 host, __u64 boot)
{
	daxfs_store(&pool->host_records[host].boot, boot);
}

int daxfs_host_read(const struct daxfs_pool *pool, __u32 host, struct daxfs_host_info *info)
{
	const struct daxfs_pool_host *record = &pool->host_records[host];

	info->key = daxfs_load(&pool->hosts[host]);
	if (daxfs_key_is_free(info->key))
		return 0;
	info->heartbeat = daxfs_load(&record->heartbeat);
	info->boot = daxfs_load(&record->boot);
	memcpy(info->id, record->id, sizeof(info->id));
	memcpy(info->name, record->name, sizeof(record->name));
	info->name[sizeof(record->name)] = 0;
	return 1;
}

void daxfs_slot_heartbeat(const struct daxfs_pool *pool, __u32 slot, __u64 now)
{
	struct daxfs_pool_slot *record = &pool->slot_records[slot];

	daxfs_store(&record->heartbeat, now);
	daxfs_stored(pool->role, record, sizeof(*record), DAXFS_RULE(CALLER_WRITES));
}

void daxfs_heartbeat(const struct daxfs_pool *pool, __u32 host, __u32 slot, __u64 now)
{
	struct daxfs_pool_host *record = &pool->host_records[host];

	daxfs_store(&record->heartbeat, now);
	daxfs_stored(pool->role, record, sizeof(*record), DAXFS_RULE(CALLER_WRITES));
	daxfs_slot_heartbeat(pool, slot, now);
}

int daxfs_hold_read(const struct daxfs_pool *pool, __u32 hold, struct daxfs_hold_info *info)
{
	const struct daxfs_pool_hold *record = &pool->hold_records[hold];
	__u64 word = daxfs_load(&pool->hold_states[hold]);

	if (daxfs_word_state(word) != DAXFS_HOLD_VALID)
		return 0;
	info->word = word;
	info->host = daxfs_word_slot(word);
	info->target = daxfs_load(&pool->hold_targets[hold]);
	info->created = get64(&record->created);
	info->kind = get32(&record->kind);
	info->name_length = get32(&record->name_length);
	if (info->name_length > sizeof(info->name))
		info->name_length = sizeof(info->name);
	memcpy(info->name, record->name, sizeof(info->name));
	return daxfs_load(&pool->hold_states[hold]) == word;
}
