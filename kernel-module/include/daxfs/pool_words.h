/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the shared words of a pool mean: docs/pool.md, "Bits". All are little-endian
 * 64-bit numbers, read and written through daxfs/atomic.h alone.
 *
 *	state word	state:4 | slot:16 | zero:4 | generation:40	rows
 *			the same fields, the last one a sequence	slots, holds
 *	alias word	the same, but committed: a tag of the key where the slot was
 *	reference	row + 1:24 | generation:40			owner words, targets
 *	use word	a bit a row, row r in word r / 64, bit r % 64
 */
#ifndef DAXFS_POOL_WORDS_H
#define DAXFS_POOL_WORDS_H

#include "daxfs/types.h"

#define DAXFS_WORD_STATE_BITS		4
#define DAXFS_WORD_SLOT_SHIFT		4
#define DAXFS_WORD_SLOT_BITS		16
#define DAXFS_WORD_GENERATION_SHIFT	24
#define DAXFS_WORD_GENERATION_BITS	40
#define DAXFS_GENERATION_MASK		((1ULL << DAXFS_WORD_GENERATION_BITS) - 1)
#define DAXFS_ROW_MAX			((1U << 24) - 2)	/* 0 in a reference is none */
#define DAXFS_SLOT_MAX			0xffffU

/* Of a row. The slot says who is building, dying or reclaiming; else it is 0. */
#define DAXFS_ROW_FREE		0U
#define DAXFS_ROW_BUILDING	1U
#define DAXFS_ROW_READY		2U
#define DAXFS_ROW_DYING		3U
#define DAXFS_ROW_RECLAIMING	4U

/* Of a participant's slot. The slot field: attached, the host; sweeping, who sweeps; else 0. */
#define DAXFS_SLOT_FREE		0U
#define DAXFS_SLOT_ATTACHED	1U
#define DAXFS_SLOT_DEAD		2U
#define DAXFS_SLOT_SWEEPING	3U

/* Of a hold. The slot field: claimed, who has claimed; valid, the number of the host that holds. */
#define DAXFS_HOLD_FREE		0U
#define DAXFS_HOLD_CLAIMED	1U
#define DAXFS_HOLD_VALID	2U

/*
 * Of an alias row. The slot field: claimed, tentative, moving: who writes it; committed: a
 * tag, 16 bits of the key, so that a look-up reads few keys of others.
 */
#define DAXFS_ALIAS_FREE	0U
#define DAXFS_ALIAS_CLAIMED	1U
#define DAXFS_ALIAS_TENTATIVE	2U
#define DAXFS_ALIAS_COMMITTED	3U
#define DAXFS_ALIAS_MOVING	4U

/*
 * An owner word of a chunk that names no row: its row field is 0. Split: its granules have
 * owner words of their own. Merging: the slot in bits 32-47 is looking whether all are free.
 * Absent: the pool may grow to have it.
 */
#define DAXFS_OWNER_SPLIT		(1ULL << 24)
#define DAXFS_OWNER_MERGING		(2ULL << 24)
#define DAXFS_OWNER_ABSENT		(3ULL << 24)
#define DAXFS_OWNER_MERGER_SHIFT	32

#endif /* DAXFS_POOL_WORDS_H */
