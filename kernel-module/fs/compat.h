/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only file that knows kernel versions. It gives older kernels the names of
 * the newest, so that the rest reads as if there were no others.
 */
#ifndef DAXFS_COMPAT_H
#define DAXFS_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/version.h>
#include <linux/xattr.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "daxfs needs Linux 6.1 or newer"
#endif

/*
 * 6.15 maps pages of the device by vmf_insert_page_mkwrite() and
 * vmf_insert_folio_pmd(); before it, ->fault returns the compound page and
 * the kernel installs the huge entry. See mmap.c.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#error "daxfs is tested up to Linux 6.14: mmap.c needs its second form for newer kernels"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
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

#endif /* DAXFS_COMPAT_H */
