// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions: physical ranges with struct pages of our own.
 *
 * Pages of a region may be referenced when its last mount has gone: a pipe
 * holds what vmsplice() gave it, a driver what it pinned. memunmap_pages()
 * does not wait for such references, and whoever drops one later would oops. So
 * a region without users is given back only once all its pages are idle; until
 * then it is parked: a worker looks again, and a new mount takes it back.
 */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/delay.h>
#include <linux/ioport.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "internal.h"

#define DRAIN_INTERVAL	(HZ / 4)
#define DRAIN_POLL_MS	20
#define IDLE_REFERENCES	1	/* what memremap_pages() leaves on a GENERIC page */

static LIST_HEAD(regions);
static DEFINE_MUTEX(daxfs_regions_lock);
struct workqueue_struct *daxfs_queue;	/* everything that is looked at again later */

/** daxfs_chunk_idle() - has nobody a reference to a page of the 2 MiB of a region at @phys? */
bool daxfs_chunk_idle(phys_addr_t phys)
{
	/* Only heads count references: every tail of an order-9 page hands them on. */
	return page_ref_count(pfn_to_page(PHYS_PFN(phys))) == IDLE_REFERENCES;
}

static bool region_idle(const struct daxfs_region *region)
{
	phys_addr_t at;

	for (at = region->phys; at < region->phys + region->size; at += DAXFS_CHUNK_SIZE) {
		if (!daxfs_chunk_idle(at))
			return false;
		cond_resched();
	}
	return true;
}

static int check_free(phys_addr_t phys, u64 size, const char **why)
{
	struct range mappable = mhp_get_pluggable_range(true);
	phys_addr_t at;

	/* First, because what follows takes time by the size. */
	if (phys < mappable.start || phys + size - 1 > mappable.end) {
		*why = "range is beyond what this kernel can map";
		return -EINVAL;
	}
	if (region_intersects(phys, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	    REGION_DISJOINT) {
		*why = "range overlaps System RAM";
		return -EINVAL;
	}
	for (at = phys; at < phys + size; at += DAXFS_CHUNK_SIZE) {
		struct dev_pagemap *pgmap = daxfs_pagemap_of(PHYS_PFN(at));

		if (pgmap) {
			put_dev_pagemap(pgmap);
			*why = "range is mapped by another driver (device_dax bound?)";
			return -EBUSY;
		}
		if (fatal_signal_pending(current)) {
			*why = "interrupted";
			return -EINTR;
		}
		cond_resched();
	}
	return 0;
}

static int region_map(struct daxfs_region *region, const char **why)
{
	struct dev_pagemap *pgmap = &region->pgmap;
	void *kaddr;
	int err;

	err = check_free(region->phys, region->size, why);
	if (err)
		return err;
	if (!request_mem_region(region->phys, region->size, "daxfs")) {
		*why = "range is held by another driver, see /proc/iomem";
		return -EBUSY;
	}
	pgmap->type = MEMORY_DEVICE_GENERIC;
	pgmap->range.start = region->phys;
	pgmap->range.end = region->phys + region->size - 1;
	pgmap->nr_range = 1;
	pgmap->ops = &daxfs_pagemap_ops;
	pgmap->vmemmap_shift = DAXFS_CHUNK_SHIFT - PAGE_SHIFT;
	kaddr = memremap_pages(pgmap, NUMA_NO_NODE);
	if (IS_ERR(kaddr)) {
		release_mem_region(region->phys, region->size);
		*why = "kernel cannot map the range";
		return PTR_ERR(kaddr);
	}
	region->kaddr = kaddr;
	return 0;
}

static void region_unmap(struct daxfs_region *region)
{
	memunmap_pages(&region->pgmap);
	release_mem_region(region->phys, region->size);
}

static void region_destroy(struct daxfs_region *region)
{
	list_del(&region->list);
	region_unmap(region);
	daxfs_region_free(region);
}

/* Looks again at a parked region; ends when a mount took it back or its pages are idle. */
static void drain_region(struct work_struct *work)
{
	struct daxfs_region *region =
		container_of(to_delayed_work(work), struct daxfs_region, drain);

	mutex_lock(&daxfs_regions_lock);
	if (region->users) {
		region->draining = false;
	} else if (region_idle(region)) {
		pr_info("pages of the range at %pa are idle, it is given back\n", &region->phys);
		region_destroy(region);
		module_put(THIS_MODULE);
	} else {
		queue_delayed_work(daxfs_queue, &region->drain, DRAIN_INTERVAL);
	}
	mutex_unlock(&daxfs_regions_lock);
}

/* A parked region holds the module: its pages must not outlive what gives them back. */
static void region_park(struct daxfs_region *region)
{
	__module_get(THIS_MODULE);
	if (region->draining)
		return;
	region->draining = true;
	pr_info("pages of the range at %pa are still referenced, it stays until they are not\n",
		&region->phys);
	queue_delayed_work(daxfs_queue, &region->drain, DRAIN_INTERVAL);
}

/* A region that shares bytes with the range; regions never share bytes with each other. */
static struct daxfs_region *region_find(phys_addr_t phys, u64 size)
{
	struct daxfs_region *region;

	list_for_each_entry(region, &regions, list)
		if (!region->buffer && phys < region->phys + region->size &&
		    region->phys < phys + size)
			return region;
	return NULL;
}

static struct daxfs_region *region_of_buffer(const struct dma_buf *buffer)
{
	struct daxfs_region *region;

	list_for_each_entry(region, &regions, list)
		if (region->buffer == buffer)
			return region;
	return NULL;
}

/* It has its memory, and its first user. */
static int region_add(struct daxfs_region *region, const char **why)
{
	int err;

	region->users = 1;
	err = daxfs_region_show(region);
	if (err)
		*why = "it cannot be shown in sysfs";
	else
		list_add(&region->list, &regions);
	return err;
}

static struct daxfs_region *region_create(phys_addr_t phys, u64 size, const char **why)
{
	struct daxfs_region *region = daxfs_region_alloc();
	int err;

	if (!region)
		return ERR_PTR(-ENOMEM);
	region->phys = phys;
	region->size = size;
	INIT_DELAYED_WORK(&region->drain, drain_region);
	err = region_map(region, why);
	if (err)
		goto free;
	err = region_add(region, why);
	if (!err)
		return region;
	region_unmap(region);
free:
	daxfs_region_free(region);
	return ERR_PTR(err);
}

/**
 * daxfs_region_get() - become a user of a physical range
 * @phys: first byte, multiple of 2 MiB
 * @size: bytes, multiple of 2 MiB, not 0
 * @why: static text on failure
 *
 * The range is claimed on first use; equal ranges share one region.
 * Return: the region, or -EINVAL, -EBUSY (held by others or overlapping one of
 * ours), -ENOMEM, or what memremap_pages() says.
 */
struct daxfs_region *daxfs_region_get(phys_addr_t phys, u64 size, const char **why)
{
	struct daxfs_region *region;

	*why = "out of memory";
	mutex_lock(&daxfs_regions_lock);
	region = region_find(phys, size);
	if (!region) {
		region = region_create(phys, size, why);
	} else if (region->phys != phys || region->size != size) {
		*why = "range overlaps one that daxfs already holds with another phys or size";
		region = ERR_PTR(-EBUSY);
	} else if (!region->users++) {
		module_put(THIS_MODULE);	/* it was parked */
	}
	mutex_unlock(&daxfs_regions_lock);
	return region;
}

/**
 * daxfs_region_get_buffer() - become a user of a dma-buf
 * @buffer: kept until the last user goes; one region for each
 * @why: static text on failure
 *
 * Its pages are counted by whoever they belong to: it is never parked.
 * Return: the region, or -EINVAL, -EOPNOTSUPP, -ENOMEM, or what the exporter says.
 */
struct daxfs_region *daxfs_region_get_buffer(struct dma_buf *buffer, const char **why)
{
	struct daxfs_region *there, *region = daxfs_region_alloc();
	int err;

	*why = "out of memory";
	if (!region)
		return ERR_PTR(-ENOMEM);
	/* Not under the lock: the exporter may wait for its device. */
	err = daxfs_buffer_map(region, buffer, why);
	if (err) {
		daxfs_region_free(region);
		return ERR_PTR(err);
	}
	mutex_lock(&daxfs_regions_lock);
	there = region_of_buffer(buffer);
	if (there)
		there->users++;
	else
		err = region_add(region, why);
	mutex_unlock(&daxfs_regions_lock);
	if (!there && !err)
		return region;
	daxfs_buffer_unmap(region);
	daxfs_region_free(region);
	return there ? there : ERR_PTR(err);
}

/** daxfs_region_hold() - become a user of a region as somebody who is one already */
void daxfs_region_hold(struct daxfs_region *region)
{
	mutex_lock(&daxfs_regions_lock);
	region->users++;
	mutex_unlock(&daxfs_regions_lock);
}

/**
 * daxfs_region_put() - stop using a region
 * @region: from daxfs_region_get()
 *
 * The last user gives the range back, or parks it while pages are referenced.
 */
void daxfs_region_put(struct daxfs_region *region)
{
	bool last_of_buffer = false;

	mutex_lock(&daxfs_regions_lock);
	if (--region->users) {
		/* others use it */
	} else if (region->buffer) {
		/* Its name too: a mount may ask for the buffer again before it is unmapped. */
		list_del(&region->list);
		kobject_del(&region->kobject);
		last_of_buffer = true;
	} else if (!region->draining && region_idle(region)) {
		region_destroy(region);
	} else {
		region_park(region);
	}
	mutex_unlock(&daxfs_regions_lock);
	if (last_of_buffer) {
		daxfs_buffer_unmap(region);
		daxfs_region_free(region);
	}
}

/** daxfs_regions_init() - at module load */
int daxfs_regions_init(void)
{
	daxfs_queue = alloc_workqueue("daxfs", WQ_UNBOUND, 0);
	return daxfs_queue ? 0 : -ENOMEM;
}

/**
 * daxfs_regions_exit() - at module unload; a worker may be on its last line
 *
 * What was attached went just now; while a page of it is pinned, the module has to stay.
 */
void daxfs_regions_exit(void)
{
	while (!list_empty_careful(&regions))
		msleep(DRAIN_POLL_MS);
	daxfs_failures_exit();	/* no page of ours is left that could fail */
	destroy_workqueue(daxfs_queue);
}
