// SPDX-License-Identifier: GPL-2.0-only
/* Inodes: made from what core says of a number, once checked never read again. */
#include <linux/fs.h>
#include <linux/slab.h>

#include "internal.h"

#define CHECK_BATCH	4096	/* extents checked between two chances to reschedule */

static struct kmem_cache *daxfs_node_cache;

/** daxfs_alloc_inode() - super_operations.alloc_inode */
struct inode *daxfs_alloc_inode(struct super_block *sb)
{
	struct daxfs_node *node = alloc_inode_sb(sb, daxfs_node_cache, GFP_KERNEL);

	if (!node)
		return NULL;
	node->dir_checked = false;
	return &node->inode;
}

/** daxfs_free_inode() - super_operations.free_inode, after an RCU grace period */
void daxfs_free_inode(struct inode *inode)
{
	if (S_ISLNK(inode->i_mode))
		kfree(inode->i_link);
	kmem_cache_free(daxfs_node_cache, daxfs_node(inode));
}

static int check_extents(const struct daxfs_image *image, struct inode *inode,
			 const char **why)
{
	const struct daxfs_attr *attr = &daxfs_node(inode)->attr;
	u64 first, allocated = 0;
	int err;

	for (first = 0; first < attr->data_count; first += CHECK_BATCH) {
		err = daxfs_failed(inode);
		if (err)
			return err;
		err = daxfs_extents_check(image, attr, first, CHECK_BATCH, &allocated, why);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* A private, terminated copy: the image's bytes are neither. */
static int load_symlink(const struct daxfs_image *image, struct inode *inode, const char **why)
{
	const struct daxfs_attr *attr = &daxfs_node(inode)->attr;
	const char *target;
	int err;

	err = daxfs_symlink_target(image, attr, &target, why);
	if (err)
		return err;
	inode->i_link = kmemdup_nul(target, attr->size, GFP_KERNEL);
	if (!inode->i_link) {
		*why = "out of memory";
		return -ENOMEM;
	}
	inode->i_op = &daxfs_symlink_inode_operations;
	return 0;
}

static int set_type(const struct daxfs_image *image, struct inode *inode, const char **why)
{
	const struct daxfs_attr *attr = &daxfs_node(inode)->attr;

	switch (attr->mode & S_IFMT) {
	case S_IFDIR:
		inode->i_op = &daxfs_dir_inode_operations;
		inode->i_fop = &daxfs_dir_operations;
		return 0;
	case S_IFREG:
		inode->i_op = &daxfs_file_inode_operations;
		inode->i_fop = &daxfs_file_operations;
		inode->i_mapping->a_ops = &daxfs_aops;
		return check_extents(image, inode, why);
	case S_IFLNK:
		return load_symlink(image, inode, why);
	default:
		inode->i_op = &daxfs_file_inode_operations;
		init_special_inode(inode, attr->mode, MKDEV(attr->rdev_major, attr->rdev_minor));
		return 0;
	}
}

static int fill_inode(struct inode *inode, u64 ino)
{
	const struct daxfs_image *image = daxfs_image(inode);
	struct daxfs_attr *attr = &daxfs_node(inode)->attr;
	const char *why = "no such inode";
	int err;

	inode->i_mode = 0;
	err = daxfs_failed(inode);
	if (err)
		return err;
	err = daxfs_inode_get(image, ino, attr, &why);
	if (!err) {
		inode->i_mode = attr->mode;
		err = set_type(image, inode, &why);
	}
	if (err) {
		/* Not a link whose target was never loaded: free_inode looks at the type. */
		inode->i_mode = 0;
		if (err != -EINTR && err != -EIO)	/* those say nothing of its bytes */
			daxfs_error(inode->i_sb, "inode %llu: %s", ino, why);
		return err;
	}
	i_uid_write(inode, attr->uid);
	i_gid_write(inode, attr->gid);
	set_nlink(inode, attr->nlink);
	i_size_write(inode, attr->size);
	inode->i_blocks = attr->allocated_size >> 9;
	inode->i_blkbits = DAXFS_BLOCK_SHIFT;
	inode_set_mtime(inode, attr->mtime_sec, attr->mtime_nsec);
	inode_set_atime(inode, attr->mtime_sec, attr->mtime_nsec);
	inode_set_ctime(inode, attr->mtime_sec, attr->mtime_nsec);
	return 0;
}

/**
 * daxfs_iget() - the inode with a number
 * @sb: mounted image
 * @ino: 1 to the number of inodes
 * Return: a referenced inode, or ERR_PTR: -EUCLEAN with a line in the log,
 * -ENOENT, -ENOMEM, -EIO its metadata's memory has failed, -EINTR.
 */
struct inode *daxfs_iget(struct super_block *sb, u64 ino)
{
	struct inode *inode = iget_locked(sb, ino);
	int err;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (!daxfs_inode_is_new(inode))
		return inode;
	err = fill_inode(inode, ino);
	if (err) {
		iget_failed(inode);
		return ERR_PTR(err);
	}
	unlock_new_inode(inode);
	return inode;
}

const struct inode_operations daxfs_file_inode_operations = {
	.listxattr = daxfs_listxattr,
	.get_inode_acl = daxfs_get_inode_acl,
};

const struct inode_operations daxfs_symlink_inode_operations = {
	.get_link = simple_get_link,
	.listxattr = daxfs_listxattr,
};

static void init_once(void *node)
{
	inode_init_once(&((struct daxfs_node *)node)->inode);
}

/** daxfs_inodes_init() - at module load */
int daxfs_inodes_init(void)
{
	daxfs_node_cache = kmem_cache_create("daxfs_node", sizeof(struct daxfs_node), 0,
					     SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, init_once);
	return daxfs_node_cache ? 0 : -ENOMEM;
}

/** daxfs_inodes_exit() - at module unload, when the last inode's grace period is over */
void daxfs_inodes_exit(void)
{
	rcu_barrier();
	kmem_cache_destroy(daxfs_node_cache);
}
