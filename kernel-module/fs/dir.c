// SPDX-License-Identifier: GPL-2.0-only
/* Directories: look-up and listing, both answered by core. */
#include <linux/fs.h>

#include "internal.h"

#define CHECK_BATCH	1024	/* entries checked between two chances to reschedule */

/*
 * Order and names, once per directory and before its first use. Two first users
 * may both check; the answer is the same.
 */
static int check_once(struct inode *dir)
{
	struct daxfs_node *node = daxfs_node(dir);
	const char *why;
	u64 first;
	int err;

	err = daxfs_failed(dir);
	if (err || READ_ONCE(node->dir_checked))
		return err;
	for (first = 0; first < node->attr.data_count; first += CHECK_BATCH) {
		err = daxfs_failed(dir);
		if (err)
			return err;
		err = daxfs_dir_check(daxfs_image(dir), &node->attr, first, CHECK_BATCH, &why);
		if (err) {
			daxfs_error(dir->i_sb, "directory %llu: %s", node->attr.ino, why);
			return err;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	WRITE_ONCE(node->dir_checked, true);
	return 0;
}

static struct inode *find_child(struct inode *dir, const struct qstr *name)
{
	const struct daxfs_attr *attr = &daxfs_node(dir)->attr;
	struct daxfs_entry entry;
	struct inode *child;
	const char *why;
	int err;

	err = daxfs_dir_find(daxfs_image(dir), attr, name->name, name->len, &entry, &why);
	if (err == -ENOENT)
		return NULL;
	if (err)
		goto corrupt;
	child = daxfs_iget(dir->i_sb, entry.ino);
	if (IS_ERR(child))
		return child;
	err = daxfs_child_check(attr, &entry, &daxfs_node(child)->attr, &why);
	if (!err)
		return child;
	iput(child);
corrupt:
	daxfs_error(dir->i_sb, "directory %llu: %s", attr->ino, why);
	return ERR_PTR(err);
}

/* A name that is not there is cached too: an image never changes. */
static struct dentry *daxfs_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	int err;

	if (dentry->d_name.len > DAXFS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	err = check_once(dir);
	if (err)
		return ERR_PTR(err);
	return d_splice_alias(find_child(dir, &dentry->d_name), dentry);
}

/* Position 0 and 1 are the dots, 2 + i is entry i. */
static int daxfs_iterate(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	const struct daxfs_attr *attr = &daxfs_node(dir)->attr;
	struct daxfs_entry entry;
	const char *why;
	int err;

	err = check_once(dir);
	if (err)
		return err;
	if (ctx->pos == 0) {
		if (!dir_emit(ctx, ".", 1, attr->ino, DT_DIR))
			return 0;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		if (!dir_emit(ctx, "..", 2, attr->parent, DT_DIR))
			return 0;
		ctx->pos = 2;
	}
	while (ctx->pos - 2 < attr->data_count) {
		err = daxfs_dir_entry(daxfs_image(dir), attr, ctx->pos - 2, &entry, &why);
		if (err) {
			daxfs_error(dir->i_sb, "directory %llu: %s", attr->ino, why);
			return err;
		}
		if (!dir_emit(ctx, entry.name, entry.name_length, entry.ino, entry.type))
			return 0;
		ctx->pos++;
	}
	return 0;
}

const struct inode_operations daxfs_dir_inode_operations = {
	.lookup = daxfs_lookup,
	.listxattr = daxfs_listxattr,
	.get_inode_acl = daxfs_get_inode_acl,
};

const struct file_operations daxfs_dir_operations = {
	.llseek = generic_file_llseek,
	.setlease = generic_setlease,
	.read = generic_read_dir,
	.iterate_shared = daxfs_iterate,
	.unlocked_ioctl = daxfs_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
