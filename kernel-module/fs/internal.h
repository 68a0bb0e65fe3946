/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share.
 *
 * Locks: daxfs_regions_lock (region.c) guards the list of regions, their
 * reference counts and their parked state; nothing is taken inside it but what
 * memremap_pages() takes itself. daxfs_pools_lock (pools.h) is taken before it.
 * An opened image never changes, so nothing else needs a lock.
 */
#ifndef DAXFS_INTERNAL_H
#define DAXFS_INTERNAL_H

#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/memremap.h>
#include <linux/percpu.h>
#include <linux/workqueue.h>

#include "core.h"
#include "compat.h"
#include "place.h"

/**
 * enum daxfs_counter - what is counted of a region; counters.c shows it
 * @DAXFS_READS: calls that read
 * @DAXFS_READ_BYTES: and what they got
 * @DAXFS_HUGE_FAULTS: faults answered by 2 MiB
 * @DAXFS_WINDOW_FAULTS: by a window of pages
 * @DAXFS_WINDOW_PAGES: and its pages
 * @DAXFS_COPY_FAULTS: by a copy, for a private write
 * @DAXFS_HOLE_FAULTS: by the page that holes show
 * @DAXFS_REFUSED_FAULTS: by SIGBUS
 * @DAXFS_CORRUPTIONS: times an image's bytes were found wrong
 * @DAXFS_MEMORY_FAILURES: pages that the kernel said have failed
 * @DAXFS_VERIFIED_PIECES: pieces of data whose digest was looked at
 */
enum daxfs_counter {
	DAXFS_READS,
	DAXFS_READ_BYTES,
	DAXFS_HUGE_FAULTS,
	DAXFS_WINDOW_FAULTS,
	DAXFS_WINDOW_PAGES,
	DAXFS_COPY_FAULTS,
	DAXFS_HOLE_FAULTS,
	DAXFS_REFUSED_FAULTS,
	DAXFS_CORRUPTIONS,
	DAXFS_MEMORY_FAILURES,
	DAXFS_VERIFIED_PIECES,
	DAXFS_COUNTERS
};

/** struct daxfs_counts - those of one processor */
struct daxfs_counts {
	u64 of[DAXFS_COUNTERS];
};

/* What of an image is compared with its digests; each level does what those before it do. */
enum daxfs_verify {
	DAXFS_VERIFY_NONE,
	DAXFS_VERIFY_META,	/* metadata, when it is mounted */
	DAXFS_VERIFY_LAZY,	/* each piece of data, when it is first used */
	DAXFS_VERIFY_FULL,	/* all of it, when it is mounted */
};

/**
 * struct daxfs_region - memory that images are in: one physical range that this kernel holds,
 *	or a dma-buf of somebody else's
 * @list: in the list of all regions
 * @phys: physical address of its first byte, multiple of 2 MiB; of a dma-buf 0
 * @size: bytes, multiple of 2 MiB; of a dma-buf any
 * @kaddr: where the kernel sees it
 * @pgmap: its struct pages; order-9 compound, idle reference count 1
 * @buffer: the dma-buf, or NULL
 * @mappable: of a dma-buf: its pages may be shown to programs
 * @bank: what it is in the pool it holds a device of, or NULL; under daxfs_pools_lock
 * @users: mounts that use it, and @bank; 0 while parked: waiting for references to its
 *	pages to go, and holding the module
 * @draining: @drain is queued or running
 * @drain: looks whether the references have gone
 * @kobject: shows it in sysfs; its release frees it
 * @counts: of what happened in it
 */
struct daxfs_region {
	struct list_head list;
	phys_addr_t phys;
	u64 size;
	void *kaddr;
	struct dev_pagemap pgmap;
	struct dma_buf *buffer;
	bool mappable;
	struct daxfs_bank *bank;
	unsigned int users;
	bool draining;
	struct delayed_work drain;
	struct kobject kobject;
	struct daxfs_counts __percpu *counts;
};

/**
 * struct daxfs_sb - one mounted image; sb->s_fs_info
 * @region: the range it lies in; in a pool that of its tables; a user of it
 * @object: what it is in a pool; NULL if the range is one image
 * @place: its physical addresses, or bytes of the dma-buf; daxfs_address() and daxfs_page() know
 * @image: opened by core
 * @mapped_meta: its metadata area, where that is not contiguous; else NULL
 * @failed: memory of its metadata has failed: it answers -EIO
 * @watched: in the list of those that a failure of memory looks for; zero: not in it
 * @mounted: whose mappings go then; NULL while nobody can have any. Both: failure.c
 * @name: what the first mount called it, or NULL
 * @verify: under s_umount
 * @verified: a bit a piece of data that needs no further look; NULL: none needs one
 * @sha256: NULL where nothing is verified
 */
struct daxfs_sb {
	struct daxfs_region *region;
	struct daxfs_object *object;
	struct daxfs_place place;
	struct daxfs_image image;
	void *mapped_meta;
	bool failed;
	struct hlist_node watched;
	struct super_block *mounted;
	char *name;
	enum daxfs_verify verify;
	unsigned long __rcu *verified;
	struct crypto_shash *sha256;
};

/**
 * struct daxfs_node - an inode in memory
 * @attr: what core said of it, checked
 * @dir_checked: a directory whose order and names have been checked
 * @inode: the kernel's part
 */
struct daxfs_node {
	struct daxfs_attr attr;
	bool dir_checked;
	struct inode inode;
};

static inline struct daxfs_sb *daxfs_sb(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline const struct daxfs_image *daxfs_image(const struct inode *inode)
{
	return &daxfs_sb(inode->i_sb)->image;
}

static inline struct daxfs_node *daxfs_node(const struct inode *inode)
{
	return container_of(inode, struct daxfs_node, inode);
}

static inline void daxfs_count(const struct daxfs_region *region, enum daxfs_counter counter,
			       u64 by)
{
	this_cpu_add(region->counts->of[counter], by);
}

/* Each way into an image's metadata asks this first. */
static inline int daxfs_failed(const struct inode *inode)
{
	return unlikely(READ_ONCE(daxfs_sb(inode->i_sb)->failed)) ? -EIO : 0;
}

/* super.c */
extern struct file_system_type daxfs_type;

/* counters.c */
int daxfs_counters_init(void);
void daxfs_counters_exit(void);
struct daxfs_region *daxfs_region_alloc(void);
int daxfs_region_show(struct daxfs_region *region);
void daxfs_region_free(struct daxfs_region *region);

/* failure.c */
extern const struct dev_pagemap_ops daxfs_pagemap_ops;
void daxfs_failures_watch(struct daxfs_sb *sbi);
void daxfs_failures_mounted(struct daxfs_sb *sbi, struct super_block *sb);
void daxfs_failures_forget(struct daxfs_sb *sbi);
void daxfs_failures_exit(void);

/* bad_pages.c */
u64 daxfs_good_bytes(phys_addr_t phys, u64 length);
u64 daxfs_bad_pages(phys_addr_t phys, u64 size);
u64 daxfs_good_length(const struct daxfs_sb *sbi, u64 offset, u64 length);
bool daxfs_good(const struct daxfs_sb *sbi, u64 offset, u64 end);
bool daxfs_image_good(const struct daxfs_sb *sbi);
int daxfs_bad_page_add(unsigned long frame);
bool daxfs_bad_page_finish(unsigned long *frame);
void daxfs_bad_pages_exit(void);

/* image.c */
int daxfs_open_image(struct daxfs_sb *sbi, const char **why);
void daxfs_close_image(struct daxfs_sb *sbi);
const u8 *daxfs_address(const struct daxfs_sb *sbi, u64 offset, u64 *length);
struct page *daxfs_page(const struct daxfs_sb *sbi, u64 offset);

/* verify.c */
int daxfs_verify_data(struct super_block *sb, u64 offset, u64 *length);
int daxfs_verify_range(struct super_block *sb, u64 offset, u64 end);
int daxfs_verify_image(struct fs_context *fc, struct daxfs_sb *sbi, enum daxfs_verify level);
void daxfs_verify_raise(struct daxfs_sb *there, struct daxfs_sb *mine);
void daxfs_verify_end(struct daxfs_sb *sbi);

/* error.c */
#define DAXFS_WHY_SIZE	160	/* of what is said of a damaged image, terminated */

__printf(2, 3) void daxfs_error(const struct super_block *sb, const char *format, ...);
__printf(2, 3) void daxfs_refuse(struct fs_context *fc, const char *format, ...);

/* region.c */
extern struct workqueue_struct *daxfs_queue;
int daxfs_regions_init(void);
void daxfs_regions_exit(void);
struct daxfs_region *daxfs_region_get(phys_addr_t phys, u64 size, const char **why);
struct daxfs_region *daxfs_region_get_buffer(struct dma_buf *buffer, const char **why);
void daxfs_region_hold(struct daxfs_region *region);
bool daxfs_chunk_idle(phys_addr_t phys);
void daxfs_region_put(struct daxfs_region *region);

/* dma_buf_import.c */
int daxfs_buffer_map(struct daxfs_region *region, struct dma_buf *buffer, const char **why);
void daxfs_buffer_unmap(struct daxfs_region *region);

/* dma_buf_export.c */
long daxfs_ioctl(struct file *file, unsigned int command, unsigned long argument);

/* inode.c */
extern const struct inode_operations daxfs_file_inode_operations;
extern const struct inode_operations daxfs_symlink_inode_operations;
int daxfs_inodes_init(void);
void daxfs_inodes_exit(void);
struct inode *daxfs_alloc_inode(struct super_block *sb);
void daxfs_free_inode(struct inode *inode);
struct inode *daxfs_iget(struct super_block *sb, u64 ino);

/* dir.c */
extern const struct inode_operations daxfs_dir_inode_operations;
extern const struct file_operations daxfs_dir_operations;

/* file.c */
extern const struct file_operations daxfs_file_operations;
extern const struct address_space_operations daxfs_aops;

/* mmap.c */
int daxfs_mmap_init(void);
void daxfs_mmap_exit(void);
int daxfs_mmap(struct file *file, struct vm_area_struct *vma);

/* mmap_folio.c or mmap_page.c */
void daxfs_small_mapping(struct vm_area_struct *vma);
vm_fault_t daxfs_insert_pages(struct vm_fault *vmf, pgoff_t first, struct page **pages,
			      unsigned long count);

/* export.c */
extern const struct export_operations daxfs_export_operations;

/* xattr.c */
extern daxfs_xattr_handlers_t daxfs_xattr_handlers;
ssize_t daxfs_listxattr(struct dentry *dentry, char *buffer, size_t size);
struct posix_acl *daxfs_get_inode_acl(struct inode *inode, int type, bool rcu);

#endif /* DAXFS_INTERNAL_H */
