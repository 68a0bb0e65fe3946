// SPDX-License-Identifier: GPL-2.0-only
/*
 * What comes of a page that the kernel says has failed: who has it mapped loses it and gets SIGBUS
 * when it comes again; a reader gets EIO; an image whose metadata is hit is not asked any more,
 * only what the kernel has of it is shown.
 */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "pools.h"
#include "trace.h"

#define FINISH_DELAY	(HZ / 10)	/* longer than a fault takes from its look to its entry */
#define RETRY_MS	20		/* while somebody mounts or unmounts one of the images */

/* Every image that is opened, whether it is mounted or not. */
static HLIST_HEAD(images);
static DEFINE_MUTEX(images_lock);

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

static void mark_failed(struct daxfs_sb *sbi)
{
	if (sbi->failed || daxfs_image_good(sbi))
		return;
	WRITE_ONCE(sbi->failed, true);
	pr_err("image %pU (%s): memory of its metadata has failed\n", sbi->image.info.uuid,
	       sbi->mounted ? sbi->mounted->s_id : "not mounted");
}

/**
 * daxfs_failures_watch() - failures of an image's memory are its matter from now on
 * @sbi: where it is, is known; it has failed already if memory of its metadata has
 */
void daxfs_failures_watch(struct daxfs_sb *sbi)
{
	mutex_lock(&images_lock);
	hlist_add_head(&sbi->watched, &images);
	mark_failed(sbi);
	mutex_unlock(&images_lock);
}

/** daxfs_failures_mounted() - its files can be mapped from now on */
void daxfs_failures_mounted(struct daxfs_sb *sbi, struct super_block *sb)
{
	mutex_lock(&images_lock);
	sbi->mounted = sb;
	mutex_unlock(&images_lock);
}

/** daxfs_failures_forget() - the image goes, before its superblock; harmless if unwatched */
void daxfs_failures_forget(struct daxfs_sb *sbi)
{
	mutex_lock(&images_lock);
	hlist_del_init(&sbi->watched);
	mutex_unlock(&images_lock);
}

/*
 * What has that page hears of it at once. Mappings are another matter: who mounts waits for the
 * list with s_umount held, so here nobody waits for that.
 * Return: false: some may have mappings still.
 */
static bool fail_images(phys_addr_t page)
{
	struct daxfs_sb *sbi;
	bool all = true;

	mutex_lock(&images_lock);
	hlist_for_each_entry(sbi, &images, watched) {
		if (!image_has(sbi, page))
			continue;
		mark_failed(sbi);
		if (!sbi->mounted)
			continue;
		if (!down_read_trylock(&sbi->mounted->s_umount)) {
			all = false;
			continue;
		}
		forget_mappings(sbi->mounted);
		up_read(&sbi->mounted->s_umount);
	}
	mutex_unlock(&images_lock);
	return all;
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
		while (!fail_images(page))
			msleep(RETRY_MS);
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
		fail_images(page);
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
