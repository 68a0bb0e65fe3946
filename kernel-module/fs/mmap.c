// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping: the memory itself, by normal, reference-counted pages.
 *
 * Special or devmap entries are not used: a debugger's write through one of
 * them corrupts the text page everybody shares. Every page of a region has a
 * struct page, so pins, copy-on-write, fork and ptrace are the kernel's own.
 *
 * A huge entry shows 2 MiB, whatever the file's size: all of it must belong to this image. The
 * builder promises that for HUGE files; here it is checked. How entries are made depends on the
 * kernel: mmap_folio.c from 6.15 on, mmap_page.c before.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "internal.h"
#include "mmap.h"
#include "trace.h"

#define WINDOW_PAGES	32UL	/* shown by one fault where there is no huge entry; aligned */

static_assert(PAGE_SIZE == DAXFS_BLOCK_SIZE, "mappings of larger pages are not written yet");

/* What holes show. One page for all images, like any other to the kernel's counters. */
static struct page *hole_page;

/** daxfs_map_page() - what lies at page @pgoff of the file; false if the image is wrong, logged */
bool daxfs_map_page(struct inode *inode, pgoff_t pgoff, struct daxfs_map *map)
{
	u64 position = (u64)pgoff << PAGE_SHIFT;
	const char *why;

	if (daxfs_failed(inode))
		return false;
	if (!daxfs_map_at(daxfs_image(inode), &daxfs_node(inode)->attr, position, map, &why))
		return true;
	daxfs_error(inode->i_sb, "inode %llu: %s", daxfs_node(inode)->attr.ino, why);
	return false;
}

/** daxfs_file_page() - page @pgoff of the file, which is in @map, data */
struct page *daxfs_file_page(const struct inode *inode, const struct daxfs_map *map, pgoff_t pgoff)
{
	return daxfs_page(daxfs_sb(inode->i_sb),
			  map->offset - map->logical + ((u64)pgoff << PAGE_SHIFT));
}

/* 0, or what is wrong with page @pgoff of the file, which is in @map, data. */
static int verify_page(const struct inode *inode, const struct daxfs_map *map, pgoff_t pgoff)
{
	u64 length = PAGE_SIZE;

	return daxfs_verify_data(inode->i_sb,
				 map->offset - map->logical + ((u64)pgoff << PAGE_SHIFT), &length);
}

/** daxfs_verify_chunk() - the same of the 2 MiB around it, which are ours */
int daxfs_verify_chunk(const struct inode *inode, const struct daxfs_map *map, pgoff_t pgoff)
{
	u64 offset = map->offset - map->logical +
		     round_down((u64)pgoff << PAGE_SHIFT, DAXFS_CHUNK_SIZE);

	return daxfs_verify_range(inode->i_sb, offset, offset + DAXFS_CHUNK_SIZE);
}

/** daxfs_chunk_is_ours() - may the whole 2 MiB around page @pgoff of the file be shown? */
bool daxfs_chunk_is_ours(const struct inode *inode, const struct daxfs_map *map, pgoff_t pgoff)
{
	const struct daxfs_info *info = &daxfs_image(inode)->info;
	u64 chunk = round_down((u64)pgoff << PAGE_SHIFT, DAXFS_CHUNK_SIZE);
	u64 offset;

	if ((map->offset - map->logical) % DAXFS_CHUNK_SIZE || chunk < map->logical ||
	    daxfs_sb(inode->i_sb)->region->buffer)
		return false;
	offset = map->offset + (chunk - map->logical);
	return offset >= info->data_offset &&
	       offset + DAXFS_CHUNK_SIZE <= info->data_offset + info->data_size &&
	       daxfs_place_whole(&daxfs_sb(inode->i_sb)->place, offset) &&
	       daxfs_good(daxfs_sb(inode->i_sb), offset, offset + DAXFS_CHUNK_SIZE);
}

/* The kernel copies or maps the page it is given and drops the caller's reference. */
static vm_fault_t show_page(struct vm_fault *vmf, struct page *page)
{
	vmf->page = page;
	return 0;
}

/** daxfs_give_page() - of ->fault: the kernel copies or maps that page */
vm_fault_t daxfs_give_page(struct vm_fault *vmf, struct page *page)
{
	get_page(page);
	return show_page(vmf, page);
}

static bool good_page(struct page *page)
{
	return daxfs_good_bytes(PFN_PHYS(page_to_pfn(page)), PAGE_SIZE);
}

/** daxfs_show_window() - pages around the fault, in the mapping, the file and its extent */
vm_fault_t daxfs_show_window(struct vm_fault *vmf, const struct inode *inode,
			     const struct daxfs_map *map)
{
	struct vm_area_struct *vma = vmf->vma;
	pgoff_t first = max3(round_down(vmf->pgoff, WINDOW_PAGES), vma->vm_pgoff,
			     (pgoff_t)(map->logical >> PAGE_SHIFT));
	pgoff_t end = min3(round_down(vmf->pgoff, WINDOW_PAGES) + WINDOW_PAGES,
			   vma->vm_pgoff + vma_pages(vma),
			   (pgoff_t)((map->logical + map->length) >> PAGE_SHIFT));
	const struct daxfs_region *region = daxfs_sb(inode->i_sb)->region;
	struct page *pages[WINDOW_PAGES];
	pgoff_t pgoff;

	end = min_t(pgoff_t, end, DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE));
	for (pgoff = first; pgoff < end; pgoff++) {
		pages[pgoff - first] = daxfs_file_page(inode, map, pgoff);
		if (unlikely(!good_page(pages[pgoff - first]) ||
			     verify_page(inode, map, pgoff)))
			break;
	}
	if (unlikely(pgoff < end)) {	/* beside a page that has failed or is wrong */
		first = vmf->pgoff;
		end = first + 1;
		pages[0] = daxfs_file_page(inode, map, first);
	}
	daxfs_count(region, DAXFS_WINDOW_FAULTS, 1);
	daxfs_count(region, DAXFS_WINDOW_PAGES, end - first);
	return daxfs_insert_pages(vmf, first, pages, end - first);
}

static vm_fault_t fault(struct vm_fault *vmf, struct inode *inode)
{
	const struct daxfs_region *region = daxfs_sb(inode->i_sb)->region;
	struct daxfs_map map;
	struct page *page;

	if ((u64)vmf->pgoff << PAGE_SHIFT >= i_size_read(inode))
		return VM_FAULT_SIGBUS;
	if (!daxfs_map_page(inode, vmf->pgoff, &map))
		return VM_FAULT_SIGBUS;
	if (map.hole) {
		daxfs_count(region, DAXFS_HOLE_FAULTS, 1);
		return try_get_page(hole_page) ? show_page(vmf, hole_page) : VM_FAULT_SIGBUS;
	}
	page = daxfs_file_page(inode, &map, vmf->pgoff);
	if (!good_page(page))
		return VM_FAULT_HWPOISON;
	if (verify_page(inode, &map, vmf->pgoff))
		return VM_FAULT_SIGBUS;
	if (!(vmf->flags & FAULT_FLAG_WRITE))
		return daxfs_show(vmf, inode, &map);
	daxfs_count(region, DAXFS_COPY_FAULTS, 1);	/* private: the kernel makes the copy */
	return daxfs_give_page(vmf, page);
}

/** daxfs_fault() - vm_operations.fault */
vm_fault_t daxfs_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	vm_fault_t done = fault(vmf, inode);

	if (done & VM_FAULT_ERROR)
		daxfs_count(daxfs_sb(inode->i_sb)->region, DAXFS_REFUSED_FAULTS, 1);
	trace_daxfs_fault(inode, vmf, 0, done);
	return done;
}

/* There is no page cache to map from; that the operation exists keeps faults under the VMA lock. */
vm_fault_t daxfs_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	return 0;
}

/**
 * daxfs_mmap() - file_operations.mmap
 * @file: a regular file of an image
 * @vma: the new mapping, set up on success
 *
 * Return: 0; -EACCES for a shared mapping that may become writable; -ENODEV of a dma-buf whose
 * pages nobody may map.
 */
int daxfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	if ((vma->vm_flags & VM_SHARED) && (vma->vm_flags & VM_MAYWRITE))
		return -EACCES;
	if (daxfs_sb(file_inode(file)->i_sb)->region->buffer &&
	    !daxfs_sb(file_inode(file)->i_sb)->region->mappable)
		return -ENODEV;
	vma->vm_ops = &daxfs_vm_operations;
	daxfs_choose_kind(file_inode(file), vma);
	return 0;
}

/** daxfs_mmap_init() - at module load */
int daxfs_mmap_init(void)
{
	hole_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	return hole_page ? 0 : -ENOMEM;
}

/** daxfs_mmap_exit() - at module unload; who still holds the page keeps it */
void daxfs_mmap_exit(void)
{
	put_page(hole_page);
}
