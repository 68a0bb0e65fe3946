// SPDX-License-Identifier: GPL-2.0-only
/*
 * What comes of a page that the kernel says has failed: who has it mapped loses it and gets SIGBUS
 * when it comes again; a reader gets EIO; an image whose metadata is hit is not asked any more,
 * only what the kernel has of it is shown.
 */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "pools.h"
#include "trace.h"

#define FINISH_DELAY	(HZ / 10)	/* longer than a fault takes from its look to its entry */

/* Does a byte of the image lie in that page? */
static bool image_has(const struct daxfs_sb *sbi, phys_addr_t page)
{
	u64 offset, length, at;

	if (sbi->region->buffer)
		return false;
	for (offset = 0; offset < sbi->image.info.image_size; offset += length) {
		length = daxfs_place_at(&sbi->place, offset, sbi->image.info.image_size - offset,
					&at);
		if (!length)
			return false;
		if (at < page + PAGE_SIZE && page < at + length)
			return true;
		cond_resched();
	}
	return false;
}

/* All mappings of an image's files go; who still wants them faults again. */
static void forget_mappings(struct super_block *sb)
{
	struct inode *inode, *last = NULL;

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

static void page_of_image(struct super_block *sb, void *page)
{
	struct daxfs_sb *sbi = daxfs_sb(sb);

	if (!image_has(sbi, *(const phys_addr_t *)page))
		return;
	if (!daxfs_image_good(sbi) && !sbi->failed) {
		WRITE_ONCE(sbi->failed, true);
		pr_err("image %pU (%s): memory of its metadata has failed\n",
		       sbi->image.info.uuid, sb->s_id);
	}
	forget_mappings(sb);
}

/*
 * A fault that had looked for bad pages before there was one may have shown it behind the first
 * removal of mappings, so there is a second one; and programs' mappings of devices go here, not in
 * the report: who holds daxfs_pools_lock may be waiting for that.
 */
static void finish_failures(struct work_struct *work)
{
	phys_addr_t page;
	unsigned long frame;

	while (daxfs_bad_page_finish(&frame)) {
		page = PFN_PHYS(frame);
		iterate_supers_type(&daxfs_type, page_of_image, &page);
		daxfs_pools_unmap(round_down(page, DAXFS_CHUNK_SIZE));
	}
}

static DECLARE_DELAYED_WORK(failures, finish_failures);

static int region_memory_failure(struct dev_pagemap *pgmap, unsigned long pfn,
				 unsigned long nr_pages, int flags)
{
	struct daxfs_region *region = container_of(pgmap, struct daxfs_region, pgmap);
	unsigned long frame;
	phys_addr_t page;

	for (frame = pfn; frame < pfn + nr_pages; frame++) {
		if (daxfs_bad_page_add(frame))
			return -ENOMEM;
		page = PFN_PHYS(frame);
		pr_err("memory at %pa has failed\n", &page);
		trace_daxfs_memory_failure(page);
		iterate_supers_type(&daxfs_type, page_of_image, &page);
	}
	daxfs_count(region, DAXFS_MEMORY_FAILURES, nr_pages);
	queue_delayed_work(daxfs_queue, &failures, FINISH_DELAY);
	return 0;
}

const struct dev_pagemap_ops daxfs_pagemap_ops = {
	.memory_failure = region_memory_failure,
};

/** daxfs_failures_exit() - at module unload, before the queue goes */
void daxfs_failures_exit(void)
{
	cancel_delayed_work_sync(&failures);
	daxfs_bad_pages_exit();
}
