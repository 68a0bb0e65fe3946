// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping: the memory itself, by normal, reference-counted pages.
 *
 * Special or devmap entries are not used: a debugger's write through one of
 * them corrupts the text page everybody shares. Every page of a region has a
 * struct page, so pins, copy-on-write, fork and ptrace are the kernel's own.
 *
 * A mapping is of one of two kinds, chosen once at mmap:
 *
 * huge:  congruent to the file modulo 2 MiB and with a full 2 MiB in it. ->fault
 *        returns the page; it belongs to an order-9 compound page, so the kernel
 *        installs a huge entry where the mapping has room for one. Never with
 *        VM_MIXEDMAP: splitting a huge entry would then leak its reference.
 * small: VM_MIXEDMAP; one fault inserts a window of pages around it.
 *
 * The page of a huge mapping must belong to this image with its whole 2 MiB:
 * the kernel maps all of it, whatever the file's size. The builder promises
 * that for HUGE files; here it is checked.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "internal.h"

#define CHUNK_PAGES	(1UL << (DAXFS_CHUNK_SHIFT - PAGE_SHIFT))
#define HUGE_EXTENTS	256	/* in one huge mapping; more would hold up mmap */
#define WINDOW_PAGES	32UL	/* inserted by one fault of a small mapping; aligned */

static_assert(PAGE_SIZE == DAXFS_BLOCK_SIZE, "mappings of larger pages are not written yet");

/* What holes show. One page for all images, like any other to the kernel's counters. */
static struct page *hole_page;

/* What lies at page @pgoff of the file; false and a line in the log if the image is wrong. */
static bool map_page(struct inode *inode, pgoff_t pgoff, struct daxfs_map *map)
{
	u64 position = (u64)pgoff << PAGE_SHIFT;
	const char *why;

	if (!daxfs_map_at(daxfs_image(inode), &daxfs_node(inode)->attr, position, map, &why))
		return true;
	daxfs_error(inode->i_sb, "inode %lu: %s", inode->i_ino, why);
	return false;
}

static struct page *image_page(const struct inode *inode, u64 offset)
{
	return daxfs_page(daxfs_sb(inode->i_sb), offset);
}

/* May a fault at @pgoff hand the kernel the whole 2 MiB around the page? */
static bool chunk_is_ours(const struct inode *inode, const struct daxfs_map *map, pgoff_t pgoff)
{
	const struct daxfs_info *info = &daxfs_image(inode)->info;
	u64 chunk = round_down((u64)pgoff << PAGE_SHIFT, DAXFS_CHUNK_SIZE);
	u64 offset;

	if ((map->offset - map->logical) % DAXFS_CHUNK_SIZE || chunk < map->logical)
		return false;
	offset = map->offset + (chunk - map->logical);
	return offset >= info->data_offset &&
	       offset + DAXFS_CHUNK_SIZE <= info->data_offset + info->data_size &&
	       daxfs_place_whole(&daxfs_sb(inode->i_sb)->place, offset);
}

static bool congruent(const struct vm_area_struct *vma)
{
	return !(((vma->vm_start >> PAGE_SHIFT) - vma->vm_pgoff) % CHUNK_PAGES);
}

/*
 * Every chunk with data that the mapping touches must be ours, because a huge
 * mapping has no other way to show a page: each extent is checked at both ends.
 * Holes show the hole page in either kind.
 */
static bool huge_capable(struct inode *inode, const struct vm_area_struct *vma)
{
	u64 position = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 end = min_t(u64, position + (vma->vm_end - vma->vm_start), i_size_read(inode));
	unsigned int extents = 0;
	struct daxfs_map map;

	if (!(daxfs_node(inode)->attr.flags & DAXFS_INODE_HUGE) || !congruent(vma))
		return false;
	if (ALIGN(vma->vm_start, DAXFS_CHUNK_SIZE) + DAXFS_CHUNK_SIZE > vma->vm_end)
		return false;
	for (; position < end && extents < HUGE_EXTENTS; extents++) {
		u64 last;

		if (!map_page(inode, position >> PAGE_SHIFT, &map))
			return false;
		last = min(end, map.logical + map.length) - 1;
		if (!map.hole && (!chunk_is_ours(inode, &map, position >> PAGE_SHIFT) ||
				  !chunk_is_ours(inode, &map, last >> PAGE_SHIFT)))
			return false;
		position = last + 1;
	}
	return position >= end;
}

/* The kernel copies or maps the page it is given and drops the caller's reference. */
static vm_fault_t show_page(struct vm_fault *vmf, struct page *page)
{
	vmf->page = page;
	return 0;
}

static vm_fault_t give_page(struct vm_fault *vmf, struct page *page)
{
	get_page(page);
	return show_page(vmf, page);
}

/**
 * daxfs_insert_pages() - show pages in a small mapping
 * @vma: with VM_MIXEDMAP
 * @first: the first page's offset, in pages
 * @pages: all in the mapping
 * @count: how many
 * Return: VM_FAULT_NOPAGE, or an error of the fault.
 */
vm_fault_t daxfs_insert_pages(struct vm_area_struct *vma, pgoff_t first, struct page **pages,
			      unsigned long count)
{
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

/* Pages around the fault that lie in the mapping, the file and the same extent. */
static vm_fault_t insert_window(struct vm_fault *vmf, const struct inode *inode,
				const struct daxfs_map *map)
{
	struct vm_area_struct *vma = vmf->vma;
	pgoff_t first = max3(round_down(vmf->pgoff, WINDOW_PAGES), vma->vm_pgoff,
			     (pgoff_t)(map->logical >> PAGE_SHIFT));
	pgoff_t end = min3(round_down(vmf->pgoff, WINDOW_PAGES) + WINDOW_PAGES,
			   vma->vm_pgoff + vma_pages(vma),
			   (pgoff_t)((map->logical + map->length) >> PAGE_SHIFT));
	struct page *pages[WINDOW_PAGES];
	pgoff_t pgoff;

	end = min_t(pgoff_t, end, DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE));
	for (pgoff = first; pgoff < end; pgoff++)
		pages[pgoff - first] = image_page(inode, map->offset - map->logical +
							 ((u64)pgoff << PAGE_SHIFT));
	return daxfs_insert_pages(vma, first, pages, end - first);
}

static vm_fault_t daxfs_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct inode *inode = file_inode(vma->vm_file);
	struct daxfs_map map;
	struct page *page;

	if ((u64)vmf->pgoff << PAGE_SHIFT >= i_size_read(inode))
		return VM_FAULT_SIGBUS;
	if (!map_page(inode, vmf->pgoff, &map))
		return VM_FAULT_SIGBUS;
	if (map.hole)
		return try_get_page(hole_page) ? show_page(vmf, hole_page) : VM_FAULT_SIGBUS;
	page = image_page(inode, map.offset - map.logical + ((u64)vmf->pgoff << PAGE_SHIFT));
	if (vmf->flags & FAULT_FLAG_WRITE)	/* private: the kernel makes the copy */
		return give_page(vmf, page);
	if (vma->vm_flags & VM_MIXEDMAP)
		return insert_window(vmf, inode, &map);
	if (!chunk_is_ours(inode, &map, vmf->pgoff))	/* the image changed under us */
		return VM_FAULT_SIGBUS;
	page_folio(page)->index = round_down(vmf->pgoff, CHUNK_PAGES);
	return give_page(vmf, page);
}

/* There is no page cache to map from; that the operation exists keeps faults under the VMA lock. */
static vm_fault_t daxfs_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	return 0;
}

static const struct vm_operations_struct daxfs_vm_operations = {
	.fault = daxfs_fault,
	.map_pages = daxfs_map_pages,
};

/**
 * daxfs_mmap() - file_operations.mmap
 * @file: a regular file of an image
 * @vma: the new mapping, set up on success
 *
 * Return: 0; -EACCES for a shared mapping that may become writable.
 */
int daxfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	if ((vma->vm_flags & VM_SHARED) && (vma->vm_flags & VM_MAYWRITE))
		return -EACCES;
	vma->vm_ops = &daxfs_vm_operations;
	if (!huge_capable(file_inode(file), vma))
		vm_flags_set(vma, VM_MIXEDMAP);
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
