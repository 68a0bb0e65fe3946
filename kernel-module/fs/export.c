// SPDX-License-Identifier: GPL-2.0-only
/* File handles: an inode number is all there is, because an image never changes. */
#include <linux/exportfs.h>

#include "internal.h"

#define HANDLE_INODE		0xd1	/* one 64-bit inode number */
#define HANDLE_INODE_PARENT	0xd2	/* two: the inode and a directory it is in */
#define WORDS			2	/* 32-bit words an inode number takes */

static int daxfs_encode_fh(struct inode *inode, __u32 *words, int *max_words,
			   struct inode *parent)
{
	int wanted = parent ? 2 * WORDS : WORDS;
	u64 ino;

	if (*max_words < wanted) {
		*max_words = wanted;
		return FILEID_INVALID;
	}
	*max_words = wanted;
	ino = daxfs_node(inode)->attr.ino;
	memcpy(words, &ino, sizeof(ino));
	if (!parent)
		return HANDLE_INODE;
	ino = daxfs_node(parent)->attr.ino;
	memcpy(words + WORDS, &ino, sizeof(ino));
	return HANDLE_INODE_PARENT;
}

/* Any number may stand in a handle; one that is no inode's is stale. */
static struct dentry *dentry_of(struct super_block *sb, const __u32 *words)
{
	struct inode *inode;
	u64 ino;

	memcpy(&ino, words, sizeof(ino));
	if (!ino || ino > daxfs_sb(sb)->image.info.section[DAXFS_SECTION_INODES].count)
		return ERR_PTR(-ESTALE);
	inode = daxfs_iget(sb, ino);
	return d_obtain_alias(inode);
}

static struct dentry *daxfs_fh_to_dentry(struct super_block *sb, struct fid *fid, int words,
					 int type)
{
	if ((type != HANDLE_INODE && type != HANDLE_INODE_PARENT) || words < WORDS)
		return NULL;
	return dentry_of(sb, fid->raw);
}

static struct dentry *daxfs_fh_to_parent(struct super_block *sb, struct fid *fid, int words,
					 int type)
{
	if (type != HANDLE_INODE_PARENT || words < 2 * WORDS)
		return NULL;
	return dentry_of(sb, fid->raw + WORDS);
}

static struct dentry *daxfs_get_parent(struct dentry *child)
{
	return d_obtain_alias(daxfs_iget(child->d_sb, daxfs_node(d_inode(child))->attr.parent));
}

const struct export_operations daxfs_export_operations = {
	.encode_fh = daxfs_encode_fh,
	.fh_to_dentry = daxfs_fh_to_dentry,
	.fh_to_parent = daxfs_fh_to_parent,
	.get_parent = daxfs_get_parent,
};
