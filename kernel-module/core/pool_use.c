// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The two kinds of reference: a use dies with its participant, a hold does not. */
#include "bytes.h"
#include "pool.h"

/*
 * The second look of a reference that is already to be seen: is the object still
 * there? One that is dying is rescued. Behind a full fence, which pairs with the one
 * in daxfs_collect(): either the collector's scan sees the reference, or this sees dying.
 */
static int confirm(const struct daxfs_pool *pool, __u32 row, __u64 generation)
{
	__u64 ready = daxfs_word_make(DAXFS_ROW_READY, 0,
				      generation + !DAXFS_RULE(GENERATION_KEPT));
	int tries;

	for (tries = 0; tries < DAXFS_POOL_TRIES; tries++) {
		__u64 word = daxfs_load(&pool->rows[row]);

		if (daxfs_word_generation(word) != generation)
			return -ENOENT;
		if (daxfs_word_state(word) == DAXFS_ROW_READY)
			return 0;
		if (daxfs_word_state(word) != DAXFS_ROW_DYING || !DAXFS_RULE(RESCUE))
			return -ENOENT;
		if (daxfs_cas(&pool->rows[row], word, ready) == word) {
			daxfs_stored(pool->role, &pool->rows[row], sizeof(word),
				     DAXFS_RULE(UNDO_WRITE));
			return 0;
		}
	}
	return -EAGAIN;
}

static struct daxfs_word *use_word(const struct daxfs_pool *pool, __u32 slot, __u32 row)
{
	return &daxfs_slot_uses(pool, slot)[row / 64];
}

int daxfs_use_take(const struct daxfs_pool *pool, __u32 slot, __u32 row, __u64 generation)
{
	struct daxfs_word *uses = use_word(pool, slot, row);
	int error = 0;

	if (!DAXFS_RULE(USE_RECHECK))
		error = confirm(pool, row, generation);
	daxfs_store(uses, daxfs_load(uses) | (1ULL << (row % 64)));
	/* Pairs with the fence in daxfs_collect(). */
	if (DAXFS_RULE(USE_FENCE))
		daxfs_fence();
	if (DAXFS_RULE(USE_RECHECK))
		error = confirm(pool, row, generation);
	if (error)
		daxfs_use_drop(pool, slot, row);
	return error;
}

void daxfs_use_drop(const struct daxfs_pool *pool, __u32 slot, __u32 row)
{
	struct daxfs_word *uses = use_word(pool, slot, row);

	daxfs_store(uses, daxfs_load(uses) & ~(1ULL << (row % 64)));
}

/* A hold's record is written while the hold is claimed, like its target. */
static void write_note(const struct daxfs_pool *pool, __u32 hold,
		       const struct daxfs_hold_note *note)
{
	struct daxfs_pool_hold *record = &pool->hold_records[hold];
	__u32 length = note->length < sizeof(record->name) ? note->length : sizeof(record->name);

	memset(record, 0, sizeof(*record));
	record->created = __cpu_to_le64(note->created);
	record->kind = __cpu_to_le32(note->kind);
	record->name_length = __cpu_to_le32(length);
	memcpy(record->name, note->name, length);
}

static int confirm_at(const struct daxfs_pool *pool, const struct daxfs_pool *home, __u32 row,
		      __u64 generation)
{
	return home == pool ? confirm(pool, row, generation) :
			      daxfs_far_confirm(home, row, generation);
}

int daxfs_hold_take(const struct daxfs_pool *pool, __u32 slot, __u32 hold,
		    const struct daxfs_pool *home, __u32 row, __u64 generation,
		    const struct daxfs_hold_note *note, __u64 *word)
{
	struct daxfs_word *state = &pool->hold_states[hold];
	struct daxfs_word *target = &pool->hold_targets[hold];
	__u32 host = daxfs_word_slot(daxfs_load(&pool->slots[slot]));
	__u64 before = daxfs_load(state);
	__u64 sequence = (daxfs_word_generation(before) + 1) & DAXFS_GENERATION_MASK;
	__u64 claimed = daxfs_word_make(DAXFS_HOLD_CLAIMED, slot, sequence);
	__u64 valid = daxfs_word_make(DAXFS_HOLD_VALID, host, sequence);
	int error = 0;

	if (daxfs_word_state(before) != DAXFS_HOLD_FREE)
		return -EBUSY;
	if (!DAXFS_RULE(HOLD_RECHECK))
		error = confirm_at(pool, home, row, generation);
	if (error)
		return error;
	if (daxfs_cas(state, before, claimed) != before)
		return -EBUSY;
	if (note)
		write_note(pool, hold, note);
	daxfs_store(target, daxfs_target(home, row, generation));
	/* A release: who sees valid sees the target. Pairs with the scan in daxfs_collect(). */
	daxfs_store(state, valid);
	daxfs_stored(pool->role, target, sizeof(*target), DAXFS_RULE(HOLD_TARGET_WRITE));
	daxfs_stored(pool->role, state, sizeof(*state), DAXFS_RULE(HOLD_STATE_WRITE));
	/* Pairs with the fence in daxfs_collect(). */
	if (DAXFS_RULE(HOLD_FENCE))
		daxfs_fence();
	if (DAXFS_RULE(HOLD_RECHECK))
		error = confirm_at(pool, home, row, generation);
	if (error)
		daxfs_hold_drop(pool, hold, valid);
	*word = valid;
	return error;
}

int daxfs_hold_drop(const struct daxfs_pool *pool, __u32 hold, __u64 word)
{
	struct daxfs_word *state = &pool->hold_states[hold];
	__u64 unheld = daxfs_word_make(DAXFS_HOLD_FREE, 0, daxfs_word_generation(word));

	if (daxfs_word_state(word) != DAXFS_HOLD_VALID ||
	    daxfs_cas(state, word, unheld) != word)
		return -ENOENT;
	daxfs_stored(pool->role, state, sizeof(*state), DAXFS_RULE(HOLD_DROP_WRITE));
	return 0;
}
