/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/**
 * DOC: where an image's bytes are
 *
 * An image is a run of bytes; in a pool they lie in chunks anywhere, or in granules side
 * by side in one chunk. A place turns a byte of the image into a byte of the memory that
 * its chunks are numbered in: a device, or all that a kernel addresses. Its numbers were
 * checked, and copied out of shared memory, by whoever made it.
 */
#ifndef DAXFS_PLACE_H
#define DAXFS_PLACE_H

#include "daxfs/pool_layout.h"

/**
 * struct daxfs_place - where an image is
 * @chunks: NULL where all of it is contiguous; else the chunk of each 2 MiB of it
 * @start: byte of the memory where it begins; with @chunks, where chunk 0 would begin
 * @size: bytes that it may have
 * @shared: others are in its chunk too
 */
struct daxfs_place {
	const __u32 *chunks;
	__u64 start;
	__u64 size;
	int shared;
};

/** daxfs_place_range() - an image alone in a range */
static inline void daxfs_place_range(struct daxfs_place *place, __u64 start, __u64 size)
{
	place->chunks = NULL;
	place->start = start;
	place->size = size;
	place->shared = 0;
}

/** daxfs_place_granules() - an image from granule @first on; @data: where chunk 0 begins */
static inline void daxfs_place_granules(struct daxfs_place *place, __u64 data, __u32 first,
					__u64 size)
{
	__u64 wide = first;

	daxfs_place_range(place, data + (wide << DAXFS_GRANULE_SHIFT), size);
	place->shared = 1;
}

/**
 * daxfs_place_chunks() - an image in @count chunks, at least 1; @data: where chunk 0 begins
 * Keeps @chunks only if the image is not contiguous.
 */
static inline void daxfs_place_chunks(struct daxfs_place *place, __u64 data, const __u32 *chunks,
				      __u32 count)
{
	__u64 first = chunks[0], wide = count;
	__u32 i;

	daxfs_place_range(place, data, wide << DAXFS_CHUNK_SHIFT);
	for (i = 1; i < count && chunks[i] == chunks[0] + i; i++)
		;
	if (i < count)
		place->chunks = chunks;
	else
		place->start += first << DAXFS_CHUNK_SHIFT;
}

/**
 * daxfs_place_at() - where byte @offset of the image is
 * @at: filled: bytes from the start of the memory
 * @length: bytes wanted
 * Return: how many of them are contiguous from there on; 0 outside the image.
 */
static inline __u64 daxfs_place_at(const struct daxfs_place *place, __u64 offset, __u64 length,
				   __u64 *at)
{
	__u64 index, chunk, run;

	if (offset >= place->size)
		return 0;
	if (length > place->size - offset)
		length = place->size - offset;
	*at = place->start + offset;
	if (!place->chunks)
		return length;
	index = offset >> DAXFS_CHUNK_SHIFT;
	chunk = place->chunks[index];
	offset &= DAXFS_CHUNK_SIZE - 1;
	*at = place->start + (chunk << DAXFS_CHUNK_SHIFT) + offset;
	run = DAXFS_CHUNK_SIZE - offset;
	for (; run < length && place->chunks[index + 1] == place->chunks[index] + 1; index++)
		run += DAXFS_CHUNK_SIZE;
	return run < length ? run : length;
}

/**
 * daxfs_place_whole() - are the 2 MiB of the image from @offset on one chunk, and nobody else's?
 * Only such may be mapped as one.
 */
static inline int daxfs_place_whole(const struct daxfs_place *place, __u64 offset)
{
	__u64 at;

	return !place->shared &&
	       daxfs_place_at(place, offset, DAXFS_CHUNK_SIZE, &at) == DAXFS_CHUNK_SIZE &&
	       at % DAXFS_CHUNK_SIZE == 0;
}

#endif /* DAXFS_PLACE_H */
