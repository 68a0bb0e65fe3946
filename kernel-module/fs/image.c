// SPDX-License-Identifier: GPL-2.0-only
/*
 * An image in memory: from a byte of the image to the kernel's address of it, and to its
 * page. Data may lie in pieces, on several devices too. Metadata is read as one run of
 * bytes, so where it is in pieces, its pages are mapped once more, side by side.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "internal.h"

/**
 * daxfs_address() - where the kernel sees a byte of the image
 * @sbi: the image
 * @offset: of the byte
 * @length: bytes wanted; cut to what lies side by side from there on
 * Return: NULL outside the image.
 */
const u8 *daxfs_address(const struct daxfs_sb *sbi, u64 offset, u64 *length)
{
	u64 at;

	*length = daxfs_place_at(&sbi->place, offset, *length, &at);
	if (!*length)
		return NULL;
	if (sbi->region->buffer)
		return sbi->region->kaddr + at;
	/* Ranges are in the kernel's linear map: that is where memremap_pages() shows them. */
	return phys_to_virt(at);
}

/** daxfs_page() - the page of byte @offset of the image, which core has said is data of it */
struct page *daxfs_page(const struct daxfs_sb *sbi, u64 offset)
{
	u64 at = 0;

	daxfs_place_at(&sbi->place, offset, PAGE_SIZE, &at);
	if (sbi->region->buffer)
		return vmalloc_to_page(sbi->region->kaddr + at);
	return pfn_to_page(PHYS_PFN(at));
}

static void *map_pages(const struct daxfs_sb *sbi, u64 offset, u64 end)
{
	unsigned long count = (end - offset) >> PAGE_SHIFT;
	unsigned long i;
	struct page **pages;
	void *mapped;

	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return NULL;
	for (i = 0; i < count; i++)
		pages[i] = daxfs_page(sbi, offset + ((u64)i << PAGE_SHIFT));
	mapped = vmap(pages, count, VM_MAP, PAGE_KERNEL_RO);
	kvfree(pages);
	return mapped;
}

/**
 * daxfs_open_image() - check the image at sbi->place, and make its metadata readable
 * @sbi: region and place are set
 * @why: static text on failure
 * Return: as daxfs_image_read_super(); -EIO its memory has failed; -ENOMEM.
 */
int daxfs_open_image(struct daxfs_sb *sbi, const char **why)
{
	struct daxfs_image *image = &sbi->image;
	u64 length = DAXFS_BLOCK_SIZE;
	const u8 *super = daxfs_address(sbi, 0, &length);
	u64 meta_bytes;
	int err;

	*why = "memory of the image's superblock or metadata has failed";
	if (!daxfs_good(sbi, 0, DAXFS_BLOCK_SIZE))
		return -EIO;
	err = daxfs_image_read_super(image, super, sbi->place.size, why);
	if (err)
		return err;
	*why = "memory of the image's superblock or metadata has failed";
	daxfs_failures_watch(sbi);
	if (sbi->failed)
		return -EIO;
	meta_bytes = image->info.image_size - image->info.meta_offset;
	length = meta_bytes;
	image->meta = daxfs_address(sbi, image->info.meta_offset, &length);
	if (length == meta_bytes)
		return 0;
	sbi->mapped_meta = map_pages(sbi, image->info.meta_offset, image->info.image_size);
	image->meta = sbi->mapped_meta;
	*why = "no memory to map the image's metadata";
	return image->meta ? 0 : -ENOMEM;
}

/** daxfs_close_image() - the image is not read any more; harmless if it was never opened */
void daxfs_close_image(struct daxfs_sb *sbi)
{
	vunmap(sbi->mapped_meta);
}
