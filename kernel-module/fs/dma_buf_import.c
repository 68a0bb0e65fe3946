// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images in somebody else's dma-buf: fsconfig(FSCONFIG_SET_FD, "dmabuf"). They are read where the
 * exporter shows the buffer to the kernel. Programs may map their files if every page of it is one
 * that this kernel counts references of and that no page cache has: of one that has, such as a
 * memfd's behind udmabuf, the cache would find entries that it does not know of when it lets go.
 */
#include <linux/dma-buf.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>

#include "internal.h"

/* It is only read; but udmabuf (6.12) gives back by this direction what it took by another. */
#define CPU_ACCESS	DMA_BIDIRECTIONAL

/*
 * That a page has references does not mean that its owner minds them (TTM does not), so the owner
 * is one that is known to.
 */
static char *dma_buf_mappable = "system";
module_param(dma_buf_mappable, charp, 0444);
MODULE_PARM_DESC(dma_buf_mappable,
		 "exporters of dma-bufs whose pages may be mapped, with commas between them");

static bool is_mappable(const struct dma_buf *buffer)
{
	const char *name = buffer->exp_name, *at = dma_buf_mappable;
	size_t length = strlen(name);

	for (; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
		if (!strncmp(at, name, length) && (!at[length] || at[length] == ','))
			return true;
	return false;
}

static bool may_map(const void *address)
{
	struct page *page = vmalloc_to_page(address);
	struct folio *folio;

	if (!page || !pfn_valid(page_to_pfn(page)) || is_zone_device_page(page) ||
	    PageReserved(page) || PageHuge(page))
		return false;
	folio = page_folio(page);
	/* A memfd's page is swap-backed, also when the memfd has gone and it belongs to nobody. */
	return folio_ref_count(folio) && !folio->mapping && !folio_test_swapbacked(folio) &&
	       !folio_test_lru(folio);
}

static bool may_map_all(const struct daxfs_region *region)
{
	u64 at;

	if (!is_mappable(region->buffer) || !is_vmalloc_addr(region->kaddr))
		return false;
	for (at = 0; at < region->size; at += PAGE_SIZE) {
		if (!may_map(region->kaddr + at) || fatal_signal_pending(current))
			return false;
		cond_resched();
	}
	return true;
}

/**
 * daxfs_buffer_map() - make a dma-buf the memory of a region
 * @region: fresh; filled
 * @buffer: kept until daxfs_buffer_unmap()
 * @why: static text on failure
 * Return: 0; -EINVAL too small; -EOPNOTSUPP no memory of this machine; what the exporter says.
 */
int daxfs_buffer_map(struct daxfs_region *region, struct dma_buf *buffer, const char **why)
{
	struct iosys_map map;
	int err;

	*why = "dma-buf is shorter than a superblock";
	if (buffer->size < DAXFS_BLOCK_SIZE)
		return -EINVAL;
	*why = "dma-buf's exporter does not show it to the kernel";
	err = dma_buf_vmap_unlocked(buffer, &map);
	if (err)
		return err;
	if (map.is_iomem || !PAGE_ALIGNED(map.vaddr)) {
		dma_buf_vunmap_unlocked(buffer, &map);
		*why = "dma-buf is not of whole pages of memory";
		return -EOPNOTSUPP;
	}
	*why = "dma-buf's exporter does not give it to processors";
	err = dma_buf_begin_cpu_access(buffer, CPU_ACCESS);
	if (err) {
		dma_buf_vunmap_unlocked(buffer, &map);
		return err;
	}
	get_dma_buf(buffer);
	region->buffer = buffer;
	region->kaddr = map.vaddr;
	region->size = round_down(buffer->size, PAGE_SIZE);
	region->mappable = may_map_all(region);
	return 0;
}

/** daxfs_buffer_unmap() - the dma-buf is its exporter's again */
void daxfs_buffer_unmap(struct daxfs_region *region)
{
	struct iosys_map map = IOSYS_MAP_INIT_VADDR(region->kaddr);

	dma_buf_end_cpu_access(region->buffer, CPU_ACCESS);
	dma_buf_vunmap_unlocked(region->buffer, &map);
	dma_buf_put(region->buffer);
}
