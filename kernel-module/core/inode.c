// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* One inode: its numbers, and whether they can be what they say. */
#include "bytes.h"

#define NSEC_PER_SEC_U32	1000000000U
#define MAJOR_MAX		0xfffU		/* what the kernel's dev_t holds */
#define MINOR_MAX		0xfffffU

static void read_numbers(struct daxfs_attr *attr, const struct daxfs_inode *inode)
{
	attr->mode = get32(&inode->mode);
	attr->flags = get32(&inode->flags);
	attr->uid = get32(&inode->uid);
	attr->gid = get32(&inode->gid);
	attr->size = get64(&inode->size);
	attr->mtime_sec = (__s64)get64(&inode->mtime_sec);
	attr->mtime_nsec = get32(&inode->mtime_nsec);
	attr->nlink = get32(&inode->nlink);
	attr->rdev_major = get32(&inode->rdev_major);
	attr->rdev_minor = get32(&inode->rdev_minor);
	attr->data_start = get64(&inode->data_start);
	attr->data_count = get64(&inode->data_count);
	attr->xattr_start = get64(&inode->xattr_start);
	attr->xattr_size = get32(&inode->xattr_size);
	attr->xattr_count = get32(&inode->xattr_count);
	attr->parent = get64(&inode->parent);
	attr->allocated_size = get64(&inode->allocated_size);
}

static int check_common(const struct daxfs_image *image, const struct daxfs_attr *attr,
			const char **why)
{
	const struct daxfs_section_info *section = image->info.section;

	if (attr->mode & ~0177777U)
		return bad(why, "inode mode has unknown bits");
	if (attr->flags & ~DAXFS_INODE_KNOWN)
		return bad(why, "inode has unknown flags");
	if (attr->size > DAXFS_SIZE_MAX || attr->allocated_size > DAXFS_SIZE_MAX)
		return bad(why, "inode size out of range");
	if (attr->mtime_nsec >= NSEC_PER_SEC_U32)
		return bad(why, "inode time out of range");
	if (!attr->nlink)
		return bad(why, "inode without a name");
	if (!attr->xattr_size != !attr->xattr_count || attr->xattr_start % 8)
		return bad(why, "xattr reference");
	if (attr->xattr_size > DAXFS_XATTR_LIST_MAX)
		return bad(why, "xattr list too long");
	if (!inside(attr->xattr_start, attr->xattr_size, section[DAXFS_SECTION_XATTRS].size))
		return bad(why, "xattrs outside their section");
	if ((attr->flags & DAXFS_INODE_HUGE) && (attr->mode & S_IFMT) != S_IFREG)
		return bad(why, "HUGE on what is no file");
	if ((attr->flags & DAXFS_INODE_IMPLICIT) && (attr->mode & S_IFMT) != S_IFDIR)
		return bad(why, "IMPLICIT on what is no directory");
	if (attr->parent && (attr->mode & S_IFMT) != S_IFDIR)
		return bad(why, "parent of what is no directory");
	return 0;
}

static int check_dir(const struct daxfs_image *image, const struct daxfs_attr *attr,
		     const char **why)
{
	const struct daxfs_section_info *section = image->info.section;
	int is_root = attr->ino == DAXFS_ROOT_INO, own_parent;

	if (attr->size || attr->allocated_size)
		return bad(why, "directory with a size");
	if (!attr->parent || attr->parent > section[DAXFS_SECTION_INODES].count)
		return bad(why, "parent out of range");
	own_parent = attr->parent == attr->ino;
	if (own_parent != is_root)
		return bad(why, "only the root is its own parent");
	if (!inside(attr->data_start, attr->data_count, section[DAXFS_SECTION_DIRENTS].count))
		return bad(why, "directory outside the entries");
	return 0;
}

static int check_file(const struct daxfs_image *image, const struct daxfs_attr *attr,
		      const char **why)
{
	__u64 extents = image->info.section[DAXFS_SECTION_EXTENTS].count;

	if (!inside(attr->data_start, attr->data_count, extents))
		return bad(why, "file outside the extents");
	if (attr->allocated_size % DAXFS_BLOCK_SIZE || !attr->allocated_size != !attr->data_count)
		return bad(why, "allocated size does not fit the extents");
	return 0;
}

static int check_symlink(const struct daxfs_image *image, const struct daxfs_attr *attr,
			 const char **why)
{
	__u64 names = image->info.section[DAXFS_SECTION_NAMES].size;

	if (!attr->size || attr->size > DAXFS_SYMLINK_MAX || attr->data_count != attr->size)
		return bad(why, "symlink target length");
	if (!inside(attr->data_start, attr->data_count, names) || attr->allocated_size)
		return bad(why, "symlink target outside the names");
	return 0;
}

static int check_special(const struct daxfs_attr *attr, const char **why)
{
	if (attr->size || attr->allocated_size || attr->data_start || attr->data_count)
		return bad(why, "special file with data");
	if (attr->rdev_major > MAJOR_MAX || attr->rdev_minor > MINOR_MAX)
		return bad(why, "device number out of range");
	return 0;
}

static int check_type(const struct daxfs_image *image, const struct daxfs_attr *attr,
		      const char **why)
{
	__u32 type = attr->mode & S_IFMT;

	if (type != S_IFCHR && type != S_IFBLK && (attr->rdev_major || attr->rdev_minor))
		return bad(why, "device number on what is no device");
	switch (type) {
	case S_IFDIR:
		return check_dir(image, attr, why);
	case S_IFREG:
		return check_file(image, attr, why);
	case S_IFLNK:
		return check_symlink(image, attr, why);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return check_special(attr, why);
	default:
		return bad(why, "unknown file type");
	}
}

int daxfs_inode_get(const struct daxfs_image *image, __u64 ino, struct daxfs_attr *attr,
		    const char **why)
{
	const struct daxfs_inode *inode;
	int err;

	if (!ino || ino > image->info.section[DAXFS_SECTION_INODES].count)
		return -ENOENT;
	inode = record_at(image, DAXFS_SECTION_INODES, ino - 1, sizeof(*inode));
	if (!inode)
		return bad(why, "inode outside the image");
	attr->ino = ino;
	read_numbers(attr, inode);
	if (!all_zero(inode->reserved, sizeof(inode->reserved)))
		return bad(why, "reserved bytes of an inode are not zero");
	err = check_common(image, attr, why);
	if (!err)
		err = check_type(image, attr, why);
	if (!err && ino == DAXFS_ROOT_INO && (attr->mode & S_IFMT) != S_IFDIR)
		err = bad(why, "root is no directory");
	return err;
}

int daxfs_symlink_target(const struct daxfs_image *image, const struct daxfs_attr *attr,
			 const char **target, const char **why)
{
	const struct daxfs_section_info *names = &image->info.section[DAXFS_SECTION_NAMES];
	const char *bytes;

	if ((attr->mode & S_IFMT) != S_IFLNK)
		return -EINVAL;
	if (!inside(attr->data_start, attr->size, names->size))
		return bad(why, "symlink target outside the names");
	bytes = daxfs_meta_at(image, names->offset + attr->data_start, attr->size);
	if (!bytes)
		return bad(why, "symlink target outside the image");
	if (memchr(bytes, 0, attr->size))
		return bad(why, "NUL in a symlink target");
	*target = bytes;
	return 0;
}
