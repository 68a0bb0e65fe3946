// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries of mappings before Linux 6.15. A mapping is of one of two kinds, chosen once at mmap:
 *
 * huge:  congruent to the file modulo 2 MiB and with a full 2 MiB in it. ->fault returns the
 *        page; it belongs to an order-9 compound page, so the kernel installs a huge entry where
 *        the mapping has room for one. Never with VM_MIXEDMAP: splitting a huge entry would then
 *        leak its reference.
 * small: VM_MIXEDMAP; one fault inserts a window of pages around it.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "internal.h"
#include "mmap.h"

#define HUGE_EXTENTS	256	/* in one huge mapping; more would hold up mmap */

/** daxfs_small_mapping() - at mmap: one that shows pages by daxfs_insert_pages() alone */
void daxfs_small_mapping(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_MIXEDMAP);
}

/**
 * daxfs_insert_pages() - show pages around a fault
 * @vmf: of a small mapping
 * @first: the first page's offset, in pages
 * @pages: all in the mapping
 * @count: how many
 * Return: VM_FAULT_NOPAGE, or an error of the fault.
 */
vm_fault_t daxfs_insert_pages(struct vm_fault *vmf, pgoff_t first, struct page **pages,
			      unsigned long count)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long left;
	pgoff_t pgoff;
	int err;

	for (pgoff = first; pgoff < first + count; pgoff = first + count - left) {
		left = first + count - pgoff;
		err = vm_insert_pages(vma, vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT),
				      pages + count - left, &left);
		/* It stops at an entry that is there already; go on behind it. */
		if (err == -EBUSY && left)
			left--;
		else if (err)
			return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	}
	return VM_FAULT_NOPAGE;
}

/*
 * Every chunk with data that the mapping touches must be ours, because a huge
 * mapping has no other way to show a page: each extent is checked at both ends,
 * and for pages that have failed.
 * Holes show the hole page in either kind.
 */
static bool huge_capable(struct inode *inode, const struct vm_area_struct *vma)
{
	u64 position = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 behind = position + (vma->vm_end - vma->vm_start);
	u64 end = min_t(u64, behind, i_size_read(inode));
	unsigned int extents = 0;
	struct daxfs_map map;

	if (!(daxfs_node(inode)->attr.flags & DAXFS_INODE_HUGE) || !daxfs_congruent(vma))
		return false;
	if (ALIGN(vma->vm_start, DAXFS_CHUNK_SIZE) + DAXFS_CHUNK_SIZE > vma->vm_end)
		return false;
	/* A huge entry would show what lies behind the end of the file. */
	if (round_down(behind, DAXFS_CHUNK_SIZE) > round_up(i_size_read(inode), PAGE_SIZE))
		return false;
	for (; position < end && extents < HUGE_EXTENTS; extents++) {
		u64 last;

		if (!daxfs_map_page(inode, position >> PAGE_SHIFT, &map))
			return false;
		last = min(end, map.logical + map.length) - 1;
		if (!map.hole && (!daxfs_chunk_is_ours(inode, &map, position >> PAGE_SHIFT) ||
				  !daxfs_chunk_is_ours(inode, &map, last >> PAGE_SHIFT) ||
				  !daxfs_good(daxfs_sb(inode->i_sb), map.offset,
					      map.offset + (last + 1 - map.logical))))
			return false;
		position = last + 1;
	}
	return position >= end;
}

/** daxfs_choose_kind() - at mmap: what it takes to show huge entries of this file */
void daxfs_choose_kind(struct inode *inode, struct vm_area_struct *vma)
{
	if (!huge_capable(inode, vma))
		daxfs_small_mapping(vma);
}

/** daxfs_show() - of ->fault for reading: shows what @map, which is data, has there */
vm_fault_t daxfs_show(struct vm_fault *vmf, struct inode *inode, const struct daxfs_map *map)
{
	const struct daxfs_region *region = daxfs_sb(inode->i_sb)->region;
	struct page *page;

	if (vmf->vma->vm_flags & VM_MIXEDMAP)
		return daxfs_show_window(vmf, inode, map);
	/* The image changed under us, or a page of the chunk has failed or is wrong. */
	if (!daxfs_chunk_is_ours(inode, map, vmf->pgoff) ||
	    daxfs_verify_chunk(inode, map, vmf->pgoff))
		return VM_FAULT_SIGBUS;
	/* At the mapping's ends there is no room for 2 MiB, the kernel shows the page alone. */
	if (daxfs_chunk_fits(vmf)) {
		daxfs_count(region, DAXFS_HUGE_FAULTS, 1);
	} else {
		daxfs_count(region, DAXFS_WINDOW_FAULTS, 1);
		daxfs_count(region, DAXFS_WINDOW_PAGES, 1);
	}
	page = daxfs_file_page(inode, map, vmf->pgoff);
	page_folio(page)->index = round_down(vmf->pgoff, CHUNK_PAGES);
	return daxfs_give_page(vmf, page);
}

const struct vm_operations_struct daxfs_vm_operations = {
	.fault = daxfs_fault,
	.map_pages = daxfs_map_pages,
};
