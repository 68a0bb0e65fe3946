/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between mmap.c, which is for all kernels, and what depends on the kernel: mmap_folio.c or
 * mmap_page.c.
 */
#ifndef DAXFS_MMAP_H
#define DAXFS_MMAP_H

#include <linux/mm.h>

#include "core.h"

#define CHUNK_PAGES	(1UL << (DAXFS_CHUNK_SHIFT - PAGE_SHIFT))

/* Do addresses and offsets of the mapping agree modulo 2 MiB? */
static inline bool daxfs_congruent(const struct vm_area_struct *vma)
{
	return !(((vma->vm_start >> PAGE_SHIFT) - vma->vm_pgoff) % CHUNK_PAGES);
}

/* Has the mapping room for all of the 2 MiB around the fault? */
static inline bool daxfs_chunk_fits(const struct vm_fault *vmf)
{
	unsigned long chunk = round_down(vmf->address, DAXFS_CHUNK_SIZE);

	return chunk >= vmf->vma->vm_start && chunk + DAXFS_CHUNK_SIZE <= vmf->vma->vm_end;
}

/* mmap.c */
bool daxfs_map_page(struct inode *inode, pgoff_t pgoff, struct daxfs_map *map);
struct page *daxfs_file_page(const struct inode *inode, const struct daxfs_map *map, pgoff_t pgoff);
bool daxfs_chunk_is_ours(const struct inode *inode, const struct daxfs_map *map, pgoff_t pgoff);
int daxfs_verify_chunk(const struct inode *inode, const struct daxfs_map *map, pgoff_t pgoff);
vm_fault_t daxfs_give_page(struct vm_fault *vmf, struct page *page);
vm_fault_t daxfs_show_window(struct vm_fault *vmf, const struct inode *inode,
			     const struct daxfs_map *map);
vm_fault_t daxfs_fault(struct vm_fault *vmf);
vm_fault_t daxfs_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end);

/* mmap_folio.c or mmap_page.c; and daxfs_small_mapping(), daxfs_insert_pages() of internal.h */
extern const struct vm_operations_struct daxfs_vm_operations;
void daxfs_choose_kind(struct inode *inode, struct vm_area_struct *vma);
vm_fault_t daxfs_show(struct vm_fault *vmf, struct inode *inode, const struct daxfs_map *map);

#endif /* DAXFS_MMAP_H */
