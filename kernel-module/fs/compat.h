/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only file that knows kernel versions. It gives older kernels the names of
 * the newest, so that the rest reads as if there were no others.
 */
#ifndef DAXFS_COMPAT_H
#define DAXFS_COMPAT_H

#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/version.h>
#include <linux/xattr.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "daxfs needs Linux 6.1 or newer"
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <linux/hex.h>
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#include <linux/filelock.h>
#else
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define copy_splice_read generic_file_splice_read
#endif

#ifndef HAVE_INODE_SET_MTIME
static inline void inode_set_mtime(struct inode *inode, time64_t sec, long nsec)
{
	inode->i_mtime = (struct timespec64){ .tv_sec = sec, .tv_nsec = nsec };
}

static inline void inode_set_atime(struct inode *inode, time64_t sec, long nsec)
{
	inode->i_atime = (struct timespec64){ .tv_sec = sec, .tv_nsec = nsec };
}
#endif

#ifndef HAVE_INODE_SET_CTIME
static inline void inode_set_ctime(struct inode *inode, time64_t sec, long nsec)
{
	inode->i_ctime = (struct timespec64){ .tv_sec = sec, .tv_nsec = nsec };
}
#endif

/* It had a second argument, a map that the caller has. */
static inline struct dev_pagemap *daxfs_pagemap_of(unsigned long pfn)
{
#ifdef HAVE_GET_DEV_PAGEMAP_OF_PFN
	return get_dev_pagemap(pfn);
#else
	return get_dev_pagemap(pfn, NULL);
#endif
}

/* The state got a type of its own, with functions. */
static inline bool daxfs_inode_is_new(struct inode *inode)
{
#ifdef HAVE_INODE_STATE_READ_ONCE
	return inode_state_read_once(inode) & I_NEW;
#else
	return inode->i_state & I_NEW;
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
typedef const struct xattr_handler *daxfs_xattr_handlers_t[];
#else
typedef const struct xattr_handler * const daxfs_xattr_handlers_t[];
#endif

/* ACL handlers did the work themselves, now they only say that the inode operations do. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#include <linux/posix_acl_xattr.h>
#define nop_posix_acl_access posix_acl_access_xattr_handler
#define nop_posix_acl_default posix_acl_default_xattr_handler
#endif

/* The inode operation that reads an ACL had another name. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define get_inode_acl get_acl
#endif

/* They took no lock, now the names without a word more want it to be held. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define dma_buf_vmap_unlocked dma_buf_vmap
#define dma_buf_vunmap_unlocked dma_buf_vunmap
#endif

/* A namespace of symbols is named by a string since then. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define DAXFS_IMPORT_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#else
#define DAXFS_IMPORT_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#endif

#endif /* DAXFS_COMPAT_H */
