// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Participants: how one begins, and how what a dead one left is undone. */
#include "pool_index.h"
#include "pool_slot.h"

static __u64 lock_of(const struct daxfs_pool *pool, __u32 slot)
{
	return pool->slot_records ? daxfs_load(&pool->slot_records[slot].lock) : 0;
}

/* Whoever changes a record's lock decides about the life in its slot: it begins, or is over. */
static int decide(const struct daxfs_pool *pool, __u32 slot, __u64 lock, __u64 next)
{
	if (!pool->slot_records)
		return 0;
	return daxfs_cas(&pool->slot_records[slot].lock, lock, next) == lock ? 0 : -EBUSY;
}

/* Where no lock is: a number, of the life that begins with that generation, and of no other. */
static __u64 no_lock(__u64 generation)
{
	return DAXFS_RULE(LOCK_LIVES) ? (generation & 0xffff) << 16 : 0;
}

/*
 * Of a lock's file in the life that @word is of: another in each, so none comes back. Files that
 * were made one after the other differ by little, lives by much: none is another's, either.
 */
static __u64 mark_of(__u64 lock, __u64 word)
{
	__u64 life = daxfs_word_generation(word) * 0x9e3779b1U & 0xffffffffU;

	return DAXFS_RULE(LOCK_MIXES) ? lock ^ life : lock;
}

/* A proof is no mark, for it names no boot; and not what an attacher may have read before it. */
static __u64 proof_of(__u64 word)
{
	return DAXFS_RULE(PROOF_LIVES) ? no_lock(daxfs_word_generation(word)) + 1 : 1;
}

static __u32 number_of(const struct daxfs_attacher *who)
{
	return who->host & ~DAXFS_HOST_KERNEL;
}

/* Is the number that slots and holds name still that host's? */
static int has_number(const struct daxfs_pool *pool, __u32 host, __u64 key)
{
	return daxfs_load(&pool->hosts[host]) == key;
}

/*
 * Between its slot's word and its lock a participant may die, or be taken for dead by who knows
 * of no lock; who was slow may meet the next one's. A kernel has none, and changes nothing.
 */
static int begin_life(const struct daxfs_pool *pool, __u32 slot, __u64 before,
		      const struct daxfs_attacher *who, __u64 word)
{
	if (decide(pool, slot, before, who->lock ? mark_of(who->lock, word) : before) &&
	    DAXFS_RULE(ATTACH_DECIDES))
		return -EBUSY;
	if (!pool->hosts)
		return 0;
	/* Pairs with the fence in begin_to_leave(): that meets this slot, or this sees it leave. */
	if (DAXFS_RULE(ATTACH_FENCE))
		daxfs_fence();
	return has_number(pool, number_of(who), who->key) || !DAXFS_RULE(ATTACH_RECHECK) ?
		0 : -ESTALE;
}

/* @from, free or dead, to attached. */
static int attach_from(const struct daxfs_pool *pool, __u32 slot, __u64 from, __u64 before,
		       const struct daxfs_attacher *who, __u64 word)
{
	int error;

	if (daxfs_cas(&pool->slots[slot], from, word) != from)
		return -EBUSY;
	/* A host that loses its power finds in memory whose uses are there too. */
	daxfs_stored(pool->role, &pool->slots[slot], sizeof(word), DAXFS_RULE(ATTACH_WRITE));
	error = begin_life(pool, slot, before, who, word);
	if (error)
		daxfs_mark_dead(pool, slot, word);
	return error;
}

int daxfs_attach(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_attacher *who,
		 __u64 *word)
{
	__u64 free = daxfs_load(&pool->slots[slot]);
	__u64 before = lock_of(pool, slot);

	if (daxfs_word_state(free) != DAXFS_SLOT_FREE)
		return -EBUSY;
	*word = daxfs_word_make(DAXFS_SLOT_ATTACHED, who->host, daxfs_word_generation(free));
	return attach_from(pool, slot, free, before, who, *word);
}

void daxfs_contention_write(const struct daxfs_pool *pool, __u32 slot, const __u64 *counts)
{
	int i;

	for (i = 0; i < DAXFS_CONTENTION_COUNT; i++)
		daxfs_store(&pool->slot_records[slot].contention[i], counts[i]);
}

void daxfs_contention_read(const struct daxfs_pool *pool, __u32 slot, __u64 *counts)
{
	int i;

	for (i = 0; i < DAXFS_CONTENTION_COUNT; i++)
		counts[i] = daxfs_load(&pool->slot_records[slot].contention[i]);
}

static __u64 half(__u64 word, int number)
{
	return number % 2 ? word >> 32 : word & 0xffffffffU;
}

static __u64 sum(__u64 word, const __u64 *counts, int number)
{
	__u64 room = 0xffffffffU - half(word, number);

	return half(word, number) + (counts[number] < room ? counts[number] : room);
}

void daxfs_contention_gone(const struct daxfs_pool *pool, __u32 host, __u64 *counts)
{
	int i;

	for (i = 0; i < DAXFS_CONTENTION_COUNT; i++)
		counts[i] = half(daxfs_load(&pool->host_records[host].contention[i / 2]), i);
}

/*
 * Whoever ends a slot's life adds what was read before to its host's sums: one does, as one swap
 * ends it. For people: who dies in between takes the numbers along.
 */
static void keep_contention(const struct daxfs_pool *pool, __u32 host, const __u64 *counts)
{
	int i, tries;

	for (i = 0; pool->slot_records && i < DAXFS_CONTENTION_COUNT; i += 2) {
		struct daxfs_word *word = &pool->host_records[host].contention[i / 2];

		for (tries = 0; tries < DAXFS_POOL_TRIES && (counts[i] || counts[i + 1]); tries++) {
			__u64 old = daxfs_load(word);
			__u64 both = sum(old, counts, i) | sum(old, counts, i + 1) << 32;

			if (daxfs_cas(word, old, both) == old)
				break;
		}
	}
}

/* @word of an attached slot to @ended, in one swap, with all it has counted. */
static int end_life(const struct daxfs_pool *pool, __u32 slot, __u64 word, __u64 ended)
{
	__u64 counts[DAXFS_CONTENTION_COUNT] = {};

	if (pool->slot_records)
		daxfs_contention_read(pool, slot, counts);
	if (daxfs_cas(&pool->slots[slot], word, ended) != word)
		return -ESTALE;
	if (daxfs_word_slot(word) < pool->host_count)
		keep_contention(pool, daxfs_word_slot(word), counts);
	return 0;
}

/* Of whose lock was this life? Nobody's, before the one that begins with @generation. */
static void unlock(const struct daxfs_pool *pool, __u32 slot, __u64 generation)
{
	if (pool->slot_records && DAXFS_RULE(LIFE_UNLOCKS))
		daxfs_store(&pool->slot_records[slot].lock, no_lock(generation));
}

static void clear_uses(const struct daxfs_pool *pool, __u32 slot)
{
	struct daxfs_word *uses = pool->uses + (__u64)slot * daxfs_slot_words(pool);
	__u32 i;

	for (i = 0; i < daxfs_slot_words(pool); i++)
		daxfs_store(&uses[i], 0);
	daxfs_stored(pool->role, uses, sizeof(*uses) * daxfs_slot_words(pool),
		     DAXFS_RULE(CLEAR_WRITE));
}

void daxfs_detach(const struct daxfs_pool *pool, __u32 slot)
{
	__u64 word = daxfs_load(&pool->slots[slot]);
	__u64 next = (daxfs_word_generation(word) + 1) & DAXFS_GENERATION_MASK;

	if (daxfs_word_state(word) != DAXFS_SLOT_ATTACHED)
		return;	/* it was stated to be dead; then it is swept */
	clear_uses(pool, slot);
	unlock(pool, slot, next);
	/* A release: who attaches to the slot finds it without uses. */
	end_life(pool, slot, word, daxfs_word_make(DAXFS_SLOT_FREE, 0, next));
}

/* A row whose word names the dead slot goes on under the sweeper's. */
static void sweep_row(const struct daxfs_pool *pool, __u32 slot, __u32 dead, __u32 row)
{
	__u64 word = daxfs_load(&pool->rows[row]);
	__u64 generation = daxfs_word_generation(word);
	__u64 mine;

	if (daxfs_word_slot(word) != dead)
		return;
	switch (daxfs_word_state(word)) {
	case DAXFS_ROW_BUILDING:
		generation = (generation + 1) & DAXFS_GENERATION_MASK;
		break;
	case DAXFS_ROW_RECLAIMING:
		break;
	case DAXFS_ROW_DYING:
		daxfs_collect_from(pool, slot, row, word);
		return;
	default:
		return;
	}
	mine = daxfs_word_make(DAXFS_ROW_RECLAIMING, slot, generation);
	if (daxfs_cas(&pool->rows[row], word, mine) == word)
		daxfs_reclaim(pool, row, mine);
}

/*
 * Who died before it saw that its host was being ended is met by nobody who ends that: its slot
 * names a number that is nobody's. Whoever has the number next has it before it has a slot.
 */
static void bury_nameless(const struct daxfs_pool *pool, __u32 slot)
{
	__u64 word = daxfs_load(&pool->slots[slot]);

	if (pool->hosts && daxfs_word_state(word) == DAXFS_SLOT_ATTACHED &&
	    daxfs_word_slot(word) < pool->host_count &&
	    daxfs_key_is_free(daxfs_load(&pool->hosts[daxfs_word_slot(word)])))
		daxfs_mark_dead(pool, slot, word);
}

static int claim_slot(const struct daxfs_pool *pool, __u32 slot, __u32 dead, __u64 *mine)
{
	__u64 word = daxfs_load(&pool->slots[dead]);

	*mine = daxfs_word_make(DAXFS_SLOT_SWEEPING, slot, daxfs_word_generation(word));
	if (daxfs_word_state(word) == DAXFS_SLOT_SWEEPING)
		return -EBUSY;
	if (daxfs_word_state(word) != DAXFS_SLOT_DEAD)
		return -ENOENT;
	if (!DAXFS_RULE(SWEEP_CLAIM)) {
		*mine = word;
		return 0;
	}
	return daxfs_cas(&pool->slots[dead], word, *mine) == word ? 0 : -EBUSY;
}

/* What the dead one was sweeping itself is dead again; nobody could claim it else. */
static void give_back_claims(const struct daxfs_pool *pool, __u32 dead)
{
	__u32 i;

	for (i = 0; i < pool->slot_count; i++) {
		__u64 word = daxfs_load(&pool->slots[i]);

		if (daxfs_word_state(word) == DAXFS_SLOT_SWEEPING && daxfs_word_slot(word) == dead)
			daxfs_cas(&pool->slots[i], word,
				  daxfs_word_make(DAXFS_SLOT_DEAD, 0, daxfs_word_generation(word)));
	}
}

static void sweep_holds(const struct daxfs_pool *pool, __u32 dead)
{
	__u32 i;

	for (i = 0; i < pool->hold_count; i++) {
		__u64 word = daxfs_load(&pool->hold_states[i]);

		if (daxfs_word_state(word) == DAXFS_HOLD_CLAIMED && daxfs_word_slot(word) == dead)
			daxfs_cas(&pool->hold_states[i], word,
				  daxfs_word_make(DAXFS_HOLD_FREE, 0, daxfs_word_generation(word)));
	}
}

/* All that the life in @dead has left goes on under @slot, or is free. */
static void sweep_remains(const struct daxfs_pool *pool, __u32 slot, __u32 dead)
{
	__u32 i;

	clear_uses(pool, dead);
	for (i = 0; i < pool->row_count; i++)
		sweep_row(pool, slot, dead, i);
	if (DAXFS_RULE(SWEEP_MERGES))
		daxfs_merges_sweep(pool, dead);
	if (DAXFS_RULE(SWEEP_ALIASES)) {
		daxfs_index_sweep(&pool->aliases, dead);
		daxfs_index_sweep(&pool->names, dead);
	}
	if (DAXFS_RULE(SWEEP_HOLDS))
		sweep_holds(pool, dead);
	if (DAXFS_RULE(SWEEP_CLAIMS))
		give_back_claims(pool, dead);
	daxfs_contended(pool, DAXFS_CONTENTION_SWEEPS);
}

int daxfs_sweep(const struct daxfs_pool *pool, __u32 slot, __u32 dead)
{
	__u64 mine, next;
	int error;

	if (DAXFS_RULE(SWEEP_NAMELESS))
		bury_nameless(pool, dead);
	error = claim_slot(pool, slot, dead, &mine);
	if (error)
		return error;
	next = (daxfs_word_generation(mine) + 1) & DAXFS_GENERATION_MASK;
	unlock(pool, dead, next);
	sweep_remains(pool, slot, dead);
	/* The swap is a release: who attaches to the slot finds it swept. */
	daxfs_cas(&pool->slots[dead], mine, daxfs_word_make(DAXFS_SLOT_FREE, 0, next));
	return 0;
}

int daxfs_mark_dead(const struct daxfs_pool *pool, __u32 slot, __u64 word)
{
	__u64 dead = daxfs_word_make(DAXFS_SLOT_DEAD, 0, daxfs_word_generation(word));

	if (daxfs_word_state(word) != DAXFS_SLOT_ATTACHED)
		return -ESTALE;
	return end_life(pool, slot, word, dead);
}

int daxfs_prove_dead(const struct daxfs_pool *pool, __u32 slot, __u64 word,
		     const struct daxfs_attacher *who)
{
	__u64 found = lock_of(pool, slot);
	__u64 lock = mark_of(who->lock, word);

	/* What was found is of the life the caller saw, or it proves nothing. */
	if (DAXFS_RULE(PROOF_RECHECK) && daxfs_load(&pool->slots[slot]) != word)
		return -ESTALE;
	if (found && found != lock && found >> 32 == lock >> 32)
		return -EPERM;
	/* Another host has other locks, of which it says nothing. */
	if (DAXFS_RULE(PROOF_LOOKS) && pool->hosts && !has_number(pool, number_of(who), who->key))
		return -ESTALE;
	if (DAXFS_RULE(PROOF_DECIDES) && decide(pool, slot, found, proof_of(word)))
		return -EBUSY;
	return daxfs_mark_dead(pool, slot, word);
}

int daxfs_succeed(const struct daxfs_pool *pool, __u32 slot, const struct daxfs_attacher *who,
		  __u64 *word)
{
	__u64 found = lock_of(pool, slot);
	__u64 dead = daxfs_load(&pool->slots[slot]);
	__u64 next = (daxfs_word_generation(dead) + 1) & DAXFS_GENERATION_MASK;
	__u64 before = DAXFS_RULE(SUCCEED_UNLOCKS) ? no_lock(next) : found;
	int error;

	if (daxfs_word_state(dead) != DAXFS_SLOT_DEAD)
		return -EBUSY;
	/* The lock of one that was fenced would be taken for the successor's, should that die. */
	if (decide(pool, slot, found, before))
		return -EBUSY;
	*word = daxfs_word_make(DAXFS_SLOT_ATTACHED, who->host, next);
	error = attach_from(pool, slot, dead, before, who, *word);
	if (!error && DAXFS_RULE(SUCCEED_SWEEPS))
		sweep_remains(pool, slot, slot);
	return error;
}

/* Of a number that is nobody's from now on: no key it had comes back. */
static __u64 given_back(__u64 key)
{
	return DAXFS_RULE(KEY_COUNTS) ? (daxfs_key_leaving(key) + 2) & 0xffff : 0;
}

/* Of a word that names @host: is it of the host that is leaving, and of no later one? */
static int is_of(const struct daxfs_pool *pool, __u64 word, __u32 host, __u64 leaving)
{
	return daxfs_word_slot(word) == host &&
	       (has_number(pool, host, leaving) || !DAXFS_RULE(FENCE_LOOKS));
}

static void end_host(const struct daxfs_pool *pool, __u32 host, __u64 leaving)
{
	__u32 i;

	for (i = 0; i < pool->slot_count; i++) {
		__u64 word = daxfs_load(&pool->slots[i]);

		if (is_of(pool, word, host, leaving))
			daxfs_mark_dead(pool, i, word);
	}
	for (i = 0; i < pool->hold_count; i++) {
		__u64 word = daxfs_load(&pool->hold_states[i]);

		if (daxfs_word_state(word) == DAXFS_HOLD_VALID && is_of(pool, word, host, leaving))
			daxfs_hold_drop(pool, i, word);
	}
}

/* From now on nobody begins under that number: who is slow sees it, or is met here. */
static int begin_to_leave(const struct daxfs_pool *pool, __u32 host, __u64 key, __u64 leaving)
{
	__u64 found = daxfs_cas(&pool->hosts[host], key, leaving);

	if (found != key && found != leaving)
		return -ESTALE;
	/* Pairs with the fence in begin_life(). */
	if (DAXFS_RULE(FENCE_FENCE))
		daxfs_fence();
	return 0;
}

int daxfs_fence_host(const struct daxfs_pool *pool, __u32 host, __u64 key)
{
	__u64 staying = daxfs_key_staying(key);
	__u64 leaving = DAXFS_RULE(FENCE_LEAVES) ? daxfs_key_leaving(key) : staying;
	int error = begin_to_leave(pool, host, staying, leaving);

	if (error)
		return error;
	end_host(pool, host, leaving);
	/* Or another has, who did the same; or it came back, for it was leaving in order. */
	return daxfs_cas(&pool->hosts[host], leaving, given_back(key)) != staying ||
	       staying == leaving ? 0 : -ESTALE;
}

int daxfs_host_leave(const struct daxfs_pool *pool, __u32 host, __u64 key)
{
	__u64 leaving = daxfs_key_leaving(key);
	__u64 next = given_back(key);
	int error = begin_to_leave(pool, host, key, leaving);
	__u32 i;

	if (error)
		return error;
	for (i = 0; i < pool->slot_count; i++) {
		__u64 word = daxfs_load(&pool->slots[i]);

		if (daxfs_word_state(word) == DAXFS_SLOT_ATTACHED && daxfs_word_slot(word) == host)
			next = key;
	}
	for (i = 0; i < pool->hold_count; i++) {
		__u64 word = daxfs_load(&pool->hold_states[i]);

		if (daxfs_word_state(word) == DAXFS_HOLD_VALID && daxfs_word_slot(word) == host)
			next = key;
	}
	daxfs_cas(&pool->hosts[host], leaving, next);
	return next == key ? -EBUSY : 0;
}
