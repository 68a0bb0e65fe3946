// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages whose memory has failed. They are remembered by number for as long as the module is
 * loaded, and looked up before anything is read or mapped: a struct page of ours could not hold
 * the mark, because those of a chunk's tails are one.
 */
#include <linux/mm.h>
#include <linux/xarray.h>

#include "internal.h"

#define UNFINISHED	XA_MARK_0

static DEFINE_XARRAY(bad_pages);	/* page frame number -> itself */

/** daxfs_good_bytes() - how many of @length bytes at @phys come before a page that has failed */
u64 daxfs_good_bytes(phys_addr_t phys, u64 length)
{
	unsigned long frame = PHYS_PFN(phys);

	if (likely(xa_empty(&bad_pages)) || !length ||
	    !xa_find(&bad_pages, &frame, PHYS_PFN(phys + length - 1), XA_PRESENT))
		return length;
	return PFN_PHYS(frame) <= phys ? 0 : PFN_PHYS(frame) - phys;
}

/** daxfs_bad_pages() - how many pages of a range have failed */
u64 daxfs_bad_pages(phys_addr_t phys, u64 size)
{
	unsigned long frame;
	u64 count = 0;
	void *entry;

	xa_for_each_range(&bad_pages, frame, entry, PHYS_PFN(phys), PHYS_PFN(phys + size - 1))
		count++;
	return count;
}

/** daxfs_good_length() - the same of bytes of an image, contiguous from @offset on */
u64 daxfs_good_length(const struct daxfs_sb *sbi, u64 offset, u64 length)
{
	u64 at = 0;

	if (likely(xa_empty(&bad_pages)) || sbi->region->buffer)
		return length;
	length = daxfs_place_at(&sbi->place, offset, length, &at);
	return daxfs_good_bytes(at, length);
}

/** daxfs_good() - is no page of bytes @offset to @end of the image known to have failed? */
bool daxfs_good(const struct daxfs_sb *sbi, u64 offset, u64 end)
{
	u64 length, at;

	/* Pages of a dma-buf are its exporter's matter. */
	if (likely(xa_empty(&bad_pages)) || sbi->region->buffer)
		return true;
	for (; offset < end; offset += length) {
		length = daxfs_place_at(&sbi->place, offset, end - offset, &at);
		if (!length || daxfs_good_bytes(at, length) != length)
			return false;
		cond_resched();
	}
	return true;
}

/** daxfs_image_good() - the same of all that is needed to answer anything about the image */
bool daxfs_image_good(const struct daxfs_sb *sbi)
{
	const struct daxfs_info *info = &sbi->image.info;

	return daxfs_good(sbi, 0, DAXFS_BLOCK_SIZE) &&
	       daxfs_good(sbi, info->meta_offset, info->image_size);
}

/** daxfs_bad_page_add() - from now on that page is bad, and unfinished. Return: 0; -ENOMEM */
int daxfs_bad_page_add(unsigned long frame)
{
	int err = xa_err(xa_store(&bad_pages, frame, xa_mk_value(frame), GFP_KERNEL));

	if (!err)
		xa_set_mark(&bad_pages, frame, UNFINISHED);
	return err;
}

/** daxfs_bad_page_finish() - the next unfinished one is finished now; false: there is none */
bool daxfs_bad_page_finish(unsigned long *frame)
{
	*frame = 0;
	if (!xa_find(&bad_pages, frame, ULONG_MAX, UNFINISHED))
		return false;
	xa_clear_mark(&bad_pages, *frame, UNFINISHED);
	return true;
}

/** daxfs_bad_pages_exit() - at module unload: what has failed is forgotten */
void daxfs_bad_pages_exit(void)
{
	xa_destroy(&bad_pages);
}
