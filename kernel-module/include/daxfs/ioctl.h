/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What programs ask of daxfs.ko beside mounting: docs/pool.md, "The device".
 *
 * /dev/daxfs/control attaches ranges that hold a pool, or a device of one; each becomes
 * /dev/daxfs/NAME, which lseek() measures and mmap() shows: the tables are writable, chunks
 * only where they are being built by a slot that the very open file has said is its own. A
 * pool's devices may come in any order; open() says ENXIO before device 0 is there.
 */
#ifndef DAXFS_IOCTL_H
#define DAXFS_IOCTL_H

#include <linux/ioctl.h>

#include "daxfs/types.h"

#define DAXFS_DEVICE_NAME_SIZE	32	/* with the NUL behind it; letters, digits, . _ - */

/**
 * struct daxfs_ioc_attach - a physical range that holds a device of a pool
 * @name: what it is called from now on
 * @phys, @size: multiples of 2 MiB
 */
struct daxfs_ioc_attach {
	char name[DAXFS_DEVICE_NAME_SIZE];
	__u64 phys;
	__u64 size;
};
DAXFS_ASSERT_SIZE(struct daxfs_ioc_attach, 48);

/** struct daxfs_ioc_detach - a name goes; the memory goes with the last open file and mount */
struct daxfs_ioc_detach {
	char name[DAXFS_DEVICE_NAME_SIZE];
};
DAXFS_ASSERT_SIZE(struct daxfs_ioc_detach, 32);

/**
 * struct daxfs_ioc_slot - the life of a slot is that of an open file of device 0 from now on
 * @word: the slot's word, as it was when the program attached to it
 * @slot: its number
 * @tables: descriptor of that file: the one that is asked; and then, asked of a file of each other
 *	device by which the slot is to build, the same. Such a file keeps it open
 */
struct daxfs_ioc_slot {
	__u64 word;
	__u32 slot;
	__s32 tables;
};
DAXFS_ASSERT_SIZE(struct daxfs_ioc_slot, 16);

/**
 * struct daxfs_ioc_seal - nobody writes to the chunks of @row in this life of it any more
 * Of each device for what lies on it.
 */
struct daxfs_ioc_seal {
	__u64 generation;
	__u32 row;
	__u32 reserved;		/* 0 */
};
DAXFS_ASSERT_SIZE(struct daxfs_ioc_seal, 16);

/**
 * struct daxfs_ioc_dma_buf - bytes of a file, or of the whole image, for a device
 * @offset: multiple of 4096
 * @length: multiple of 4096; 0: all that is behind @offset, to the end of the last page
 * @flags: DAXFS_DMA_BUF_*
 *
 * Asked of a regular file open for reading, or by CAP_SYS_ADMIN of a mount's root directory, which
 * stands for the image from its superblock on. Answered by the descriptor of a dma-buf, which keeps
 * the memory as it is when the mount has gone. Devices may read it; it has no mmap, the file has.
 * Errors: EINVAL, EISDIR another directory, ENXIO there is a hole, EFBIG it is in more than 65536
 * places or longer than the image, EUCLEAN the image is damaged, EIO its memory has failed,
 * EOPNOTSUPP it is in a dma-buf itself, EPERM.
 */
struct daxfs_ioc_dma_buf {
	__u64 offset;
	__u64 length;
	__u32 flags;
	__u32 reserved;		/* 0 */
};
DAXFS_ASSERT_SIZE(struct daxfs_ioc_dma_buf, 24);

#define DAXFS_DMA_BUF_CLOEXEC	1U	/* the descriptor is closed by exec */
/*
 * Drivers that know only buffers for both directions may have it, or that map it into the kernel:
 * CAP_SYS_RAWIO. Who writes to it changes what everybody reads.
 */
#define DAXFS_DMA_BUF_WRITABLE	2U

/* Of /dev/daxfs/control. */
#define DAXFS_IOC_ATTACH	_IOW(0xda, 1, struct daxfs_ioc_attach)
#define DAXFS_IOC_DETACH	_IOW(0xda, 2, struct daxfs_ioc_detach)
/* Of /dev/daxfs/NAME. */
#define DAXFS_IOC_SLOT		_IOW(0xda, 3, struct daxfs_ioc_slot)
#define DAXFS_IOC_SEAL		_IOW(0xda, 4, struct daxfs_ioc_seal)

/* Of files and root directories. */
#define DAXFS_IOC_DMA_BUF	_IOW(0xda, 5, struct daxfs_ioc_dma_buf)

#endif /* DAXFS_IOCTL_H */
