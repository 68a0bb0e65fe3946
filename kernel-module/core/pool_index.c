// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The tables of aliases: where a key may lie, how a row is read, claimed and changed. */
#include "pool_index.h"
#include "bytes.h"

#define TEXT_WORDS	(DAXFS_POOL_TEXT_MAX / 8)

/* Where rows with one key may lie, in ascending positions. */
struct places {
	__u32 bucket[2];	/* position of the first row */
	__u32 likely;		/* which of a bucket's rows it has unless another came first */
	__u32 in_buckets;
	__u32 count;		/* with the overflow rows that were ever used */
};

/* Multiplications by odd numbers without a pattern, each followed by its upper half. */
static __u64 mix(__u64 value)
{
	value = (value ^ (value >> 32)) * 0xc2a5f1b96d3e8747ULL;
	value = (value ^ (value >> 29)) * 0xa7d94e3b1f60c58dULL;
	return value ^ (value >> 31);
}

static __u32 tag_of(__u64 digest_word)
{
	return digest_word & DAXFS_SLOT_MAX;
}

/* The mark lies in shared memory: whatever it says, no row behind the table is meant. */
static __u32 overflow_in_use(const struct daxfs_index *index)
{
	__u64 used = 0;

	if (index->overflow)
		used = daxfs_load_anew(index->role, index->overflow_used,
				       DAXFS_RULE(MARK_REFRESH));
	return used < index->overflow ? (__u32)used : index->overflow;
}

static void find_buckets(const struct daxfs_index *index, const struct daxfs_key *key,
			 struct places *places)
{
	__u64 hash = mix(mix(key->digest[0] ^ index->seed[0] ^ key->kind) ^
			 key->digest[1] ^ index->seed[1]);
	__u32 mask = index->buckets - 1;
	__u32 first = (__u32)hash & mask;
	__u32 second = (__u32)(hash >> 32) & mask;

	places->likely = (__u32)(hash >> 61);
	places->in_buckets = (index->buckets < 2 ? index->buckets : 2) * DAXFS_BUCKET_ROWS;
	if (second == first)
		second = (first ^ 1) & mask;
	places->bucket[0] = (first < second ? first : second) * DAXFS_BUCKET_ROWS;
	places->bucket[1] = (first < second ? second : first) * DAXFS_BUCKET_ROWS;
}

static void find_places(const struct daxfs_index *index, const struct daxfs_key *key,
			struct places *places)
{
	find_buckets(index, key, places);
	places->count = places->in_buckets + overflow_in_use(index);
}

static __u32 place_at(const struct daxfs_index *index, const struct places *places, __u32 number)
{
	if (number >= places->in_buckets)
		return index->buckets * DAXFS_BUCKET_ROWS + number - places->in_buckets;
	return places->bucket[number / DAXFS_BUCKET_ROWS] + number % DAXFS_BUCKET_ROWS;
}

static struct daxfs_word *body_of(const struct daxfs_index *index, __u32 position)
{
	return index->bodies + (__u64)position * index->body_words;
}

/* 1: that life goes on; 0: it is over, or there never was one; -EUCLEAN: no row of this pool. */
static int target_lives(const struct daxfs_pool *pool, __u64 target)
{
	const struct daxfs_pool *home;
	__u32 row;

	if (!target)
		return 0;
	home = daxfs_target_home(pool, target, &row);
	if (!home)
		return -EUCLEAN;
	return !daxfs_is_orphan(target, daxfs_load_anew(home->role, &home->rows[row],
							DAXFS_RULE(GONE_REFRESH)));
}

/*
 * Swap a row's word from exactly *@word; *@word is the new one then. It grows each time, so
 * no word comes back, whoever writes the row next.
 */
static int change(const struct daxfs_index *index, __u32 position, __u64 *word, __u32 state,
		  __u32 slot)
{
	__u64 sequence = daxfs_word_generation(*word) + DAXFS_RULE(ALIAS_SEQUENCE);
	__u32 field = DAXFS_RULE(ALIAS_SLOT) || state == DAXFS_ALIAS_COMMITTED ? slot : 0;
	__u64 to = daxfs_word_make(state, field, sequence & DAXFS_GENERATION_MASK);

	if (!DAXFS_RULE(ALIAS_EXACT))
		daxfs_store(&index->words[position], to);
	else if (daxfs_cas(&index->words[position], *word, to) != *word)
		return -ESTALE;
	daxfs_stored(index->role, &index->words[position], sizeof(to), DAXFS_RULE(ALIAS_WRITE));
	*word = to;
	return 0;
}

static int key_matches(const struct daxfs_word *body, const struct daxfs_key *key)
{
	int i;

	for (i = 0; i < 4; i++)
		if (daxfs_load(&body[DAXFS_BODY_KEY + i]) != key->digest[i])
			return 0;
	return (__u32)daxfs_load(&body[DAXFS_BODY_KIND]) == key->kind;
}

/*
 * Reads one row whole: word, key, kind, target, and the word again. Whoever changes the
 * body has changed the word before, so the same word twice means one writer's body.
 * Return: 0 it has @key; -ENOENT it has not; -EAGAIN it would not hold still.
 */
static int read_row(const struct daxfs_index *index, const struct daxfs_key *key, __u32 position,
		    int tentative, struct daxfs_alias *alias)
{
	const struct daxfs_word *body = body_of(index, position);
	int tries, matches;

	for (tries = 0; tries < DAXFS_POOL_TRIES; tries++) {
		__u64 word = daxfs_load_anew(index->role, &index->words[position],
					     DAXFS_RULE(ALIAS_REFRESH));
		__u32 state = daxfs_word_state(word);

		if (state == DAXFS_ALIAS_COMMITTED) {
			if (daxfs_word_slot(word) != tag_of(key->digest[2]))
				return -ENOENT;
		} else if (state != DAXFS_ALIAS_MOVING &&
			   !(tentative && state == DAXFS_ALIAS_TENTATIVE)) {
			return -ENOENT;
		}
		if (index->role == DAXFS_ROLE_FAR && DAXFS_RULE(BODY_REFRESH))
			daxfs_refresh(body, sizeof(*body) * DAXFS_ALIAS_WORDS);
		matches = key_matches(body, key);
		alias->target = daxfs_load(&body[DAXFS_BODY_TARGET]);
		alias->word = word;
		alias->position = position;
		if (!DAXFS_RULE(ALIAS_RECHECK) ||
		    daxfs_load_anew(index->role, &index->words[position],
				    DAXFS_RULE(RECHECK_REFRESH)) == word)
			return matches ? 0 : -ENOENT;
	}
	return -EAGAIN;
}

/*
 * The same of a row whose target lives. One whose target does not may have been flipped
 * since, and what it named collected: then it names something else now.
 */
static int read_living(const struct daxfs_pool *pool, const struct daxfs_index *index,
		       const struct daxfs_key *key, __u32 position, struct daxfs_alias *alias)
{
	int tries, error;

	for (tries = 0; tries < DAXFS_POOL_TRIES; tries++) {
		error = read_row(index, key, position, 0, alias);
		if (error || target_lives(pool, alias->target) > 0)
			return error;
		if (!DAXFS_RULE(FIND_GONE) ||
		    daxfs_load_anew(index->role, &index->words[position],
				    DAXFS_RULE(LIVING_REFRESH)) == alias->word)
			return -ENOENT;
		daxfs_contended(pool, DAXFS_CONTENTION_LOOKS);
	}
	return -EAGAIN;
}

/* A committed row whose target's life is over: who has read that may swap from its word. */
static int is_abandoned(const struct daxfs_pool *pool, const struct daxfs_index *index,
			__u32 position, __u64 word)
{
	__u64 target;

	if (daxfs_word_state(word) != DAXFS_ALIAS_COMMITTED)
		return 0;
	target = daxfs_load(&body_of(index, position)[DAXFS_BODY_TARGET]);
	return target_lives(pool, target) == 0;
}

/* Claims a row that is free, or with @orphans abandoned. */
static int claim_one(const struct daxfs_pool *pool, const struct daxfs_index *index, __u32 slot,
		     __u32 position, int orphans, struct daxfs_alias *alias)
{
	alias->word = daxfs_load(&index->words[position]);
	alias->position = position;
	if (orphans ? !is_abandoned(pool, index, position, alias->word)
		    : daxfs_word_state(alias->word) != DAXFS_ALIAS_FREE)
		return -EBUSY;
	if (!change(index, position, &alias->word, DAXFS_ALIAS_CLAIMED, slot))
		return 0;
	daxfs_contended(pool, DAXFS_CONTENTION_ALIASES);
	return -EBUSY;
}

static __u32 free_in(const struct daxfs_index *index, __u32 first)
{
	__u32 i, free_rows = 0;

	for (i = 0; i < DAXFS_BUCKET_ROWS; i++)
		if (daxfs_word_state(daxfs_load(&index->words[first + i])) == DAXFS_ALIAS_FREE)
			free_rows++;
	return free_rows;
}

/* Free rows of the emptier bucket, then of the other; then abandoned ones. */
static int claim_in_buckets(const struct daxfs_pool *pool, const struct daxfs_index *index,
			    __u32 slot, const struct places *places, struct daxfs_alias *alias)
{
	__u32 i, begin = 0;

	if (places->in_buckets > DAXFS_BUCKET_ROWS &&
	    free_in(index, places->bucket[1]) > free_in(index, places->bucket[0]))
		begin = DAXFS_BUCKET_ROWS;
	for (i = 0; i < 2 * places->in_buckets; i++) {
		__u32 number = (begin + i) % places->in_buckets;

		if (!claim_one(pool, index, slot, place_at(index, places, number) ^ places->likely,
			       i >= places->in_buckets, alias))
			return 0;
	}
	return -ENOSPC;
}

/*
 * Overflow rows that were used before, then a new one. The mark grows before the row is
 * claimed: whoever sees a row that was committed, or is tentative behind a fence, reads
 * a mark that covers it.
 */
static int claim_overflow(const struct daxfs_pool *pool, const struct daxfs_index *index,
			  __u32 slot, struct daxfs_alias *alias)
{
	__u32 first = index->buckets * DAXFS_BUCKET_ROWS;
	__u32 used = overflow_in_use(index);
	__u32 i;

	for (i = 0; i < 2 * used; i++)
		if (!claim_one(pool, index, slot, first + i % used, i >= used, alias))
			return 0;
	/* A swap or a claim that fails means that somebody else went on. */
	for (i = used; i < index->overflow; i++) {
		__u64 mark = daxfs_load(index->overflow_used);

		if (mark <= i && DAXFS_RULE(OVERFLOW_MARK))
			daxfs_cas(index->overflow_used, mark, i + 1);
		daxfs_stored(index->role, index->overflow_used, sizeof(mark),
			     DAXFS_RULE(MARK_WRITE));
		if (!claim_one(pool, index, slot, first + i, 0, alias))
			return 0;
	}
	return -ENOSPC;
}

static void write_text(struct daxfs_word *body, const char *text, __u32 length)
{
	__u32 word, byte;

	for (word = 0; word < TEXT_WORDS; word++) {
		__u64 value = 0;

		for (byte = 0; byte < 8 && word * 8 + byte < length; byte++)
			value |= (__u64)(__u8)text[word * 8 + byte] << (8 * byte);
		daxfs_store(&body[DAXFS_BODY_TEXT + word], value);
	}
}

/* A row with everything in it, claimed: nobody else finds it yet. */
static int write_row(const struct daxfs_pool *pool, const struct daxfs_index *index, __u32 slot,
		     const struct daxfs_key *key, const struct daxfs_alias_extra *extra,
		     struct daxfs_alias *alias)
{
	__u32 length = extra ? extra->length : 0;
	__u64 kind = key->kind | (__u64)length << 32;
	struct daxfs_word *body;
	struct places places;
	int i;

	if (length > DAXFS_POOL_TEXT_MAX || (length && index->body_words < DAXFS_NAME_WORDS))
		return -EINVAL;
	find_buckets(index, key, &places);
	if (claim_in_buckets(pool, index, slot, &places, alias) &&
	    claim_overflow(pool, index, slot, alias))
		return -ENOSPC;
	body = body_of(index, alias->position);
	for (i = 0; i < 4; i++)
		daxfs_store(&body[DAXFS_BODY_KEY + i], key->digest[i]);
	daxfs_store(&body[DAXFS_BODY_TARGET], alias->target);
	daxfs_store(&body[DAXFS_BODY_KIND], kind);
	for (i = 0; i < 2; i++)
		daxfs_store(&body[DAXFS_BODY_PARENT + i], extra ? extra->parent[i] : 0);
	if (index->body_words >= DAXFS_NAME_WORDS)
		write_text(body, extra ? extra->text : "", length);
	daxfs_stored(index->role, body, sizeof(*body) * index->body_words, DAXFS_RULE(BODY_WRITE));
	return 0;
}

int daxfs_index_find(const struct daxfs_pool *pool, const struct daxfs_index *index,
		     const struct daxfs_key *key, __u32 from, struct daxfs_alias *alias)
{
	struct places places;
	int missed = -ENOENT;
	__u32 i;

	find_buckets(index, key, &places);
	/* Lines far from each other, and from all that was read before: all at once. */
	for (i = 0; i < 2; i++) {
		daxfs_prefetch(&index->words[places.bucket[i]]);
		daxfs_prefetch(body_of(index, places.bucket[i] + places.likely));
	}
	places.count = places.in_buckets;
	for (i = 0; i <= places.count; i++) {
		__u32 position = place_at(index, &places, i);
		int error;

		/* What is in the buckets comes first, and then nobody needs to know of more. */
		if (i == places.in_buckets)
			places.count += overflow_in_use(index);
		if (i == places.count)
			break;
		if (position < from)
			continue;
		error = read_living(pool, index, key, position, alias);
		if (!error)
			return 0;
		if (error == -EAGAIN)
			missed = error;
	}
	return missed;
}

int daxfs_index_insert(const struct daxfs_pool *pool, const struct daxfs_index *index,
		       __u32 slot, const struct daxfs_key *key, __u64 target,
		       const struct daxfs_alias_extra *extra, struct daxfs_alias *alias)
{
	int error;

	alias->target = target;
	error = write_row(pool, index, slot, key, extra, alias);
	if (error)
		return error;
	/* The swap is a release: who sees committed sees the body. */
	return change(index, alias->position, &alias->word, DAXFS_ALIAS_COMMITTED,
		      tag_of(key->digest[2]));
}

/*
 * One other row with the key of the tentative @own: it goes, or @own has to.
 * A row that changes between look and swap is looked at again: it may be committed now.
 */
static int settle_with(const struct daxfs_pool *pool, const struct daxfs_index *index,
		       const struct daxfs_key *key, __u32 position, int stronger,
		       struct daxfs_alias *other)
{
	int tries, error;

	for (tries = 0; tries < DAXFS_POOL_TRIES; tries++) {
		error = read_row(index, key, position, 1, other);
		if (error)
			return error == -ENOENT ? 0 : error;
		if (daxfs_word_state(other->word) == DAXFS_ALIAS_TENTATIVE) {
			if (!stronger)
				return -EAGAIN;
		} else if (daxfs_word_state(other->word) == DAXFS_ALIAS_MOVING ||
			   target_lives(pool, other->target) != 0) {
			return -EEXIST;
		} else if (!DAXFS_RULE(UNIQUE_GONE)) {
			return 0;
		}
		/* Tentative and weaker, or of what is gone: nobody shall commit or flip it. */
		if (!change(index, position, &other->word, DAXFS_ALIAS_FREE, 0) ||
		    !DAXFS_RULE(UNIQUE_RELOOK))
			return 0;
	}
	return -EAGAIN;
}

int daxfs_index_insert_unique(const struct daxfs_pool *pool, const struct daxfs_index *index,
			      __u32 slot, const struct daxfs_key *key, __u64 target,
			      const struct daxfs_alias_extra *extra, int force,
			      struct daxfs_alias *alias)
{
	struct daxfs_alias other = {};
	struct places places;
	int error;
	__u32 i;

	alias->target = target;
	error = write_row(pool, index, slot, key, extra, alias);
	if (error)
		return error;
	if (change(index, alias->position, &alias->word, DAXFS_ALIAS_TENTATIVE, slot))
		return -EAGAIN;
	/* Pairs with the same fence of whoever inserts this key too: one sees the other. */
	if (DAXFS_RULE(UNIQUE_FENCE))
		daxfs_fence();
	find_places(index, key, &places);
	for (i = 0; !error && i < places.count; i++) {
		__u32 position = place_at(index, &places, i);

		if (position != alias->position)
			error = settle_with(pool, index, key, position,
					    force || position > alias->position ||
					    !DAXFS_RULE(UNIQUE_POSITION), &other);
	}
	if (error) {
		change(index, alias->position, &alias->word, DAXFS_ALIAS_FREE, 0);
		*alias = other;
		return error;
	}
	/* Fails if another was stronger. */
	return change(index, alias->position, &alias->word, DAXFS_ALIAS_COMMITTED,
		      tag_of(key->digest[2])) ? -EAGAIN : 0;
}

int daxfs_index_flip(const struct daxfs_index *index, __u32 slot, struct daxfs_alias *alias,
		     __u64 target)
{
	struct daxfs_word *body = body_of(index, alias->position);
	__u64 word = alias->word;
	int stale;

	if (!DAXFS_RULE(FLIP_MOVING))
		return daxfs_cas(&body[DAXFS_BODY_TARGET], alias->target, target) == alias->target ?
		       0 : -ESTALE;
	if (daxfs_word_state(word) != DAXFS_ALIAS_COMMITTED ||
	    change(index, alias->position, &word, DAXFS_ALIAS_MOVING, slot)) {
		word = daxfs_load(&index->words[alias->position]);
		return daxfs_word_state(word) == DAXFS_ALIAS_MOVING ? -EBUSY : -ESTALE;
	}
	stale = daxfs_load(&body[DAXFS_BODY_TARGET]) != alias->target;
	if (!stale)
		daxfs_store(&body[DAXFS_BODY_TARGET], target);
	daxfs_stored(index->role, &body[DAXFS_BODY_TARGET], sizeof(target),
		     DAXFS_RULE(TARGET_WRITE));
	if (change(index, alias->position, &word, DAXFS_ALIAS_COMMITTED,
		   daxfs_word_slot(alias->word)) || stale)
		return -ESTALE;
	alias->word = word;
	alias->target = target;
	return 0;
}

int daxfs_index_remove(const struct daxfs_index *index, const struct daxfs_alias *alias)
{
	__u64 word = alias->word;

	/* One that moves is its mover's, who may still store to it. */
	if (daxfs_word_state(word) != DAXFS_ALIAS_COMMITTED)
		return -ESTALE;
	return change(index, alias->position, &word, DAXFS_ALIAS_FREE, 0);
}

__u64 daxfs_index_read(const struct daxfs_index *index, __u32 position, __u64 *words)
{
	const struct daxfs_word *body = body_of(index, position);
	int tries;
	__u32 i;

	for (tries = 0; tries < DAXFS_POOL_TRIES; tries++) {
		__u64 word = daxfs_load(&index->words[position]);

		for (i = 0; i < index->body_words; i++)
			words[i] = daxfs_load(&body[i]);
		if (daxfs_load(&index->words[position]) == word)
			return word;
	}
	return 0;
}

void daxfs_index_sweep(const struct daxfs_index *index, __u32 dead)
{
	__u32 rows = daxfs_index_rows(index);
	__u32 i;

	for (i = 0; i < rows; i++) {
		__u64 word = daxfs_load(&index->words[i]);
		__u32 state = daxfs_word_state(word);
		__u64 key;

		if (state == DAXFS_ALIAS_COMMITTED || daxfs_word_slot(word) != dead)
			continue;
		if (state == DAXFS_ALIAS_CLAIMED || state == DAXFS_ALIAS_TENTATIVE) {
			change(index, i, &word, DAXFS_ALIAS_FREE, 0);
		} else if (state == DAXFS_ALIAS_MOVING) {
			key = daxfs_load(&body_of(index, i)[DAXFS_BODY_KEY + 2]);
			change(index, i, &word, DAXFS_ALIAS_COMMITTED, tag_of(key));
		}
	}
}
