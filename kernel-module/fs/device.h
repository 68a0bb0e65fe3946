/* SPDX-License-Identifier: GPL-2.0-only */
/* A device of a pool as a character device: what attaching it and using it share. */
#ifndef DAXFS_DEVICE_H
#define DAXFS_DEVICE_H

#include <linux/miscdevice.h>

#include "daxfs/ioctl.h"
#include "pools.h"

/**
 * struct daxfs_device - an attached range
 * @list: in all that have a name
 * @of_member: in the member's devices
 * @bank: what of a pool it is; a user of it
 * @misc: its node
 * @name: the last part of @node
 * @node: path below /dev
 * @refs: its name, and each open file
 * @lock: guards @files
 * @files: the open files
 */
struct daxfs_device {
	struct list_head list;
	struct list_head of_member;
	struct daxfs_bank *bank;
	struct miscdevice misc;
	char name[DAXFS_DEVICE_NAME_SIZE];
	char node[DAXFS_DEVICE_NAME_SIZE + 8];
	refcount_t refs;
	struct mutex lock; /* taken inside daxfs_pools_lock */
	struct list_head files;
};

/* device.c */
extern const struct file_operations daxfs_device_operations;
void daxfs_device_put(struct daxfs_device *device);

#endif /* DAXFS_DEVICE_H */
