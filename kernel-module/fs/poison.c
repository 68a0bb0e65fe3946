// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages whose memory has failed. They are remembered by number for as long as the module is
 * loaded, and consulted before anything is read or mapped: a struct page of ours could not hold
 * the mark, because those of a chunk's tails are one. Who has such a page mapped loses it and
 * gets SIGBUS when it comes again; a reader gets EIO; an image whose metadata is hit answers
 * nothing any more.
 */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/xarray.h>

#include "internal.h"
#include "pools.h"
#include "trace.h"

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

/** daxfs_good() - is no page of bytes @offset to @end of the image known to have failed? */
bool daxfs_good(const struct daxfs_sb *sbi, u64 offset, u64 end)
{
	u64 length, at;

	if (likely(xa_empty(&bad_pages)))
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

/* All mappings of all files of a superblock go; who still wants them faults again. */
static void forget_mappings(struct super_block *sb, void *unused)
{
	struct inode *inode, *last = NULL;
	struct daxfs_sb *sbi = daxfs_sb(sb);

	if (!daxfs_image_good(sbi) && !sbi->failed) {
		WRITE_ONCE(sbi->failed, true);
		pr_err("image %pU (%s): memory of its metadata has failed\n",
		       sbi->image.info.uuid, sb->s_id);
	}
	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (!S_ISREG(inode->i_mode) || !igrab(inode))
			continue;
		spin_unlock(&sb->s_inode_list_lock);
		iput(last);	/* held until here, so that the list goes on from it */
		last = inode;
		unmap_mapping_range(inode->i_mapping, 0, 0, 0);
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(last);
}

/* By a worker: who holds daxfs_pools_lock may be waiting for the one that says a page failed. */
static void forget_device_mappings(struct work_struct *work)
{
	unsigned long frame;
	void *entry;

	xa_for_each(&bad_pages, frame, entry)
		daxfs_pools_unmap(round_down(PFN_PHYS(frame), DAXFS_CHUNK_SIZE));
}

static DECLARE_WORK(device_mappings, forget_device_mappings);

static int region_memory_failure(struct dev_pagemap *pgmap, unsigned long pfn,
				 unsigned long nr_pages, int flags)
{
	struct daxfs_region *region = container_of(pgmap, struct daxfs_region, pgmap);
	unsigned long frame;

	for (frame = pfn; frame < pfn + nr_pages; frame++) {
		if (xa_err(xa_store(&bad_pages, frame, xa_mk_value(frame), GFP_KERNEL)))
			return -ENOMEM;
		pr_err("memory at 0x%llx has failed\n", (u64)PFN_PHYS(frame));
		trace_daxfs_memory_failure(PFN_PHYS(frame));
	}
	daxfs_count(region, DAXFS_MEMORY_FAILURES, nr_pages);
	iterate_supers_type(&daxfs_type, forget_mappings, NULL);
	queue_work(daxfs_queue, &device_mappings);
	return 0;
}

const struct dev_pagemap_ops daxfs_pagemap_ops = {
	.memory_failure = region_memory_failure,
};

/** daxfs_poison_exit() - at module unload: what has failed is forgotten */
void daxfs_poison_exit(void)
{
	xa_destroy(&bad_pages);
}
