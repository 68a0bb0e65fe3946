// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries of mappings from Linux 6.15 on, which has functions that insert normal entries for pages
 * of devices: ->huge_fault a huge one where the mapping has room for it, ->fault a window of small
 * ones. All mappings are of one kind, and never VM_MIXEDMAP: fork would copy their entries, and
 * splitting a huge one would leak its reference.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "internal.h"
#include "mmap.h"
#include "trace.h"

/** daxfs_small_mapping() - at mmap: one that shows pages by daxfs_insert_pages() alone */
void daxfs_small_mapping(struct vm_area_struct *vma)
{
}

/**
 * daxfs_insert_pages() - show pages around a fault
 * @vmf: of a small mapping, or of a file's
 * @first: the first page's offset, in pages
 * @pages: all in the mapping
 * @count: how many
 * Return: VM_FAULT_NOPAGE, or an error of the fault.
 */
vm_fault_t daxfs_insert_pages(struct vm_fault *vmf, pgoff_t first, struct page **pages,
			      unsigned long count)
{
	struct vm_area_struct *vma = vmf->vma;
	vm_fault_t shown = VM_FAULT_NOPAGE;
	unsigned long i;

	/* Two faults of an image that changes meanwhile: the other one has shown all of it. */
	if (pmd_trans_huge(READ_ONCE(*vmf->pmd)))
		return VM_FAULT_NOPAGE;
	/* An entry that is there already stays, and is no error. */
	for (i = 0; i < count && shown == VM_FAULT_NOPAGE; i++) {
		struct vm_fault at = {
			.vma = vma,
			.gfp_mask = vmf->gfp_mask,
			.pgoff = first + i,
			.address = vma->vm_start + ((first + i - vma->vm_pgoff) << PAGE_SHIFT),
			.flags = vmf->flags,
		};

		shown = vmf_insert_page_mkwrite(&at, pages[i], false);
	}
	return shown;
}

/** daxfs_choose_kind() - at mmap: what it takes to show huge entries of this file */
void daxfs_choose_kind(struct inode *inode, struct vm_area_struct *vma)
{
	if (daxfs_node(inode)->attr.flags & DAXFS_INODE_HUGE)
		vm_flags_set(vma, VM_HUGEPAGE);	/* also where only who asks gets them */
}

/** daxfs_show() - of ->fault for reading: shows what @map, which is data, has there */
vm_fault_t daxfs_show(struct vm_fault *vmf, struct inode *inode, const struct daxfs_map *map)
{
	return daxfs_show_window(vmf, inode, map);
}

static vm_fault_t huge_fault(struct vm_fault *vmf, struct inode *inode, unsigned int order)
{
	struct daxfs_map map;
	struct page *page;

	if (order != DAXFS_CHUNK_SHIFT - PAGE_SHIFT || vmf->flags & FAULT_FLAG_WRITE ||
	    !(daxfs_node(inode)->attr.flags & DAXFS_INODE_HUGE) || !daxfs_congruent(vmf->vma) ||
	    !daxfs_chunk_fits(vmf) ||
	    round_down(vmf->pgoff, CHUNK_PAGES) + CHUNK_PAGES >
		    DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE))
		return VM_FAULT_FALLBACK;
	if (!daxfs_map_page(inode, vmf->pgoff, &map))
		return VM_FAULT_SIGBUS;
	if (map.hole || !daxfs_chunk_is_ours(inode, &map, vmf->pgoff) ||
	    daxfs_verify_chunk(inode, &map, vmf->pgoff))
		return VM_FAULT_FALLBACK;
	page = daxfs_file_page(inode, &map, vmf->pgoff);
	return vmf_insert_folio_pmd(vmf, page_folio(page), false);
}

/*
 * The kernel asks wherever 2 MiB have no entry, room in the mapping or not; where there is none, or
 * they are not ours, it falls back to ->fault.
 */
static vm_fault_t daxfs_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	const struct daxfs_region *region = daxfs_sb(inode->i_sb)->region;
	vm_fault_t done = huge_fault(vmf, inode, order);

	if (done & VM_FAULT_ERROR)
		daxfs_count(region, DAXFS_REFUSED_FAULTS, 1);
	else if (!(done & VM_FAULT_FALLBACK))
		daxfs_count(region, DAXFS_HUGE_FAULTS, 1);
	trace_daxfs_fault(inode, vmf, order, done);
	return done;
}

const struct vm_operations_struct daxfs_vm_operations = {
	.fault = daxfs_fault,
	.huge_fault = daxfs_huge_fault,
	.map_pages = daxfs_map_pages,
};
