// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Extents: where the bytes of a file lie. A file of one extent takes one step. */
#include "bytes.h"

int daxfs_extent_get(const struct daxfs_image *image, const struct daxfs_attr *attr,
		     __u64 index, struct daxfs_map *map, const char **why)
{
	const struct daxfs_info *info = &image->info;
	__u64 align = 1ULL << info->data_align_shift;
	const struct daxfs_extent *extent;
	__u32 blob, flags;

	if ((attr->mode & S_IFMT) != S_IFREG)
		return -EINVAL;
	if (index >= attr->data_count)
		return -ENOENT;
	extent = record_at(image, DAXFS_SECTION_EXTENTS, attr->data_start + index,
			   sizeof(*extent));
	if (!extent)
		return bad(why, "extent outside the image");
	blob = get32(&extent->blob);
	flags = get32(&extent->flags);
	map->logical = get64(&extent->logical);
	map->offset = get64(&extent->offset);
	map->length = get64(&extent->length);
	map->hole = 0;
	if (blob || flags)
		return bad(why, "extent of an unknown kind");
	if (!map->length || map->length % DAXFS_BLOCK_SIZE || map->logical % align ||
	    map->offset % align)
		return bad(why, "extent not aligned");
	if (map->offset < info->data_offset ||
	    !inside(map->offset - info->data_offset, map->length, info->data_size))
		return bad(why, "extent outside the data area");
	if (map->logical >= attr->size ||
	    map->length > round_up_to(attr->size, DAXFS_BLOCK_SIZE) - map->logical)
		return bad(why, "extent past the end of its file");
	if ((attr->flags & DAXFS_INODE_HUGE) && (map->offset - map->logical) % DAXFS_CHUNK_SIZE)
		return bad(why, "extent of a HUGE file is not congruent");
	return 0;
}

int daxfs_extents_check(const struct daxfs_image *image, const struct daxfs_attr *attr,
			__u64 first, __u64 count, __u64 *allocated, const char **why)
{
	struct daxfs_map map, before = { .logical = 0, .length = 0 };
	__u64 index, end;
	int err;

	if ((attr->mode & S_IFMT) != S_IFREG)
		return -EINVAL;
	if (first >= attr->data_count)
		return 0;
	end = count < attr->data_count - first ? first + count : attr->data_count;
	if (first) {
		err = daxfs_extent_get(image, attr, first - 1, &before, why);
		if (err)
			return err;
	}
	for (index = first; index < end; index++) {
		err = daxfs_extent_get(image, attr, index, &map, why);
		if (err)
			return err;
		if (map.logical < before.logical + before.length)
			return bad(why, "extents out of order");
		*allocated += map.length;
		before = map;
	}
	if (end == attr->data_count && *allocated != attr->allocated_size)
		return bad(why, "allocated size is not the sum of the extents");
	return 0;
}

int daxfs_map_at(const struct daxfs_image *image, const struct daxfs_attr *attr, __u64 position,
		 struct daxfs_map *map, const char **why)
{
	__u64 low = 0, high = attr->data_count;
	__u64 hole_start = 0, hole_end = DAXFS_SIZE_MAX;
	int err;

	if ((attr->mode & S_IFMT) != S_IFREG)
		return -EINVAL;
	while (low < high) {
		__u64 middle = low + (high - low) / 2;

		err = daxfs_extent_get(image, attr, middle, map, why);
		if (err)
			return err;
		if (position < map->logical) {
			hole_end = map->logical;
			high = middle;
		} else if (position - map->logical >= map->length) {
			hole_start = map->logical + map->length;
			low = middle + 1;
		} else {
			return 0;
		}
	}
	map->logical = hole_start;
	map->length = hole_end - hole_start;
	map->offset = 0;
	map->hole = 1;
	return 0;
}
