// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Directories: sorted runs of entries, looked up by binary search over (hash, name). */
#include "bytes.h"

static int is_dir(const struct daxfs_attr *attr)
{
	return (attr->mode & S_IFMT) == S_IFDIR;
}

static int type_known(__u32 type)
{
	switch (type << 12) {
	case S_IFDIR:
	case S_IFREG:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return 1;
	default:
		return 0;
	}
}

static int name_allowed(const char *name, __u32 length)
{
	if (memchr(name, '/', length) || memchr(name, 0, length))
		return 0;
	if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
		return 0;
	return 1;
}

/* Entry @index and its hash; the name is bounded, its bytes are not looked at. */
static int entry_get(const struct daxfs_image *image, const struct daxfs_attr *dir, __u64 index,
		     struct daxfs_entry *entry, __u32 *hash, const char **why)
{
	const struct daxfs_section_info *names = &image->info.section[DAXFS_SECTION_NAMES];
	const struct daxfs_dirent *dirent;
	__u64 name;

	dirent = record_at(image, DAXFS_SECTION_DIRENTS, dir->data_start + index, sizeof(*dirent));
	if (!dirent)
		return bad(why, "entry outside the image");
	name = get64(&dirent->name);
	*hash = get32(&dirent->hash);
	entry->name_length = get16(&dirent->name_length);
	entry->type = *(const volatile __u8 *)&dirent->type;
	entry->ino = get64(&dirent->ino);
	if (!entry->name_length || entry->name_length > DAXFS_NAME_MAX)
		return bad(why, "name length");
	if (!inside(name, entry->name_length, names->size))
		return bad(why, "name outside the names");
	if (!entry->ino || entry->ino > image->info.section[DAXFS_SECTION_INODES].count)
		return bad(why, "entry names no inode");
	if (!type_known(entry->type))
		return bad(why, "entry has an unknown type");
	if (dirent->reserved0 || get64(&dirent->reserved1))
		return bad(why, "reserved bytes of an entry are not zero");
	entry->name = daxfs_meta_at(image, names->offset + name, entry->name_length);
	if (!entry->name)
		return bad(why, "name outside the image");
	return 0;
}

int daxfs_dir_entry(const struct daxfs_image *image, const struct daxfs_attr *dir, __u64 index,
		    struct daxfs_entry *entry, const char **why)
{
	__u32 hash;
	int err;

	if (!is_dir(dir))
		return -ENOTDIR;
	if (index >= dir->data_count)
		return -ENOENT;
	err = entry_get(image, dir, index, entry, &hash, why);
	if (!err && !name_allowed(entry->name, entry->name_length))
		err = bad(why, "forbidden name");
	return err;
}

int daxfs_dir_find(const struct daxfs_image *image, const struct daxfs_attr *dir,
		   const char *name, __u32 name_length, struct daxfs_entry *entry,
		   const char **why)
{
	__u64 low = 0, high = dir->data_count;
	__u32 wanted, hash;
	int err, order;

	if (!is_dir(dir))
		return -ENOTDIR;
	if (!name_length || name_length > DAXFS_NAME_MAX)
		return -ENOENT;
	wanted = daxfs_name_hash(name, name_length);
	while (low < high) {
		__u64 middle = low + (high - low) / 2;

		err = entry_get(image, dir, middle, entry, &hash, why);
		if (err)
			return err;
		order = daxfs_name_order(wanted, name, name_length, hash, entry->name,
					 entry->name_length);
		if (!order)
			return 0;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -ENOENT;
}

int daxfs_dir_check(const struct daxfs_image *image, const struct daxfs_attr *dir, __u64 first,
		    __u64 count, const char **why)
{
	struct daxfs_entry entry, before = { .name = NULL };
	__u32 hash, hash_before = 0;
	__u64 index, end;
	int err;

	if (!is_dir(dir))
		return -ENOTDIR;
	if (first >= dir->data_count)
		return 0;
	end = count < dir->data_count - first ? first + count : dir->data_count;
	if (first) {
		err = entry_get(image, dir, first - 1, &before, &hash_before, why);
		if (err)
			return err;
	}
	for (index = first; index < end; index++) {
		err = entry_get(image, dir, index, &entry, &hash, why);
		if (err)
			return err;
		if (!name_allowed(entry.name, entry.name_length))
			return bad(why, "forbidden name");
		if (hash != daxfs_name_hash(entry.name, entry.name_length))
			return bad(why, "entry's hash is not its name's");
		if (index && daxfs_name_order(hash_before, before.name, before.name_length, hash,
					      entry.name, entry.name_length) >= 0)
			return bad(why, "directory out of order");
		before = entry;
		hash_before = hash;
	}
	return 0;
}

int daxfs_child_check(const struct daxfs_attr *dir, const struct daxfs_entry *entry,
		      const struct daxfs_attr *child, const char **why)
{
	if (child->mode >> 12 != entry->type)
		return bad(why, "entry and inode differ in type");
	if (child->ino == DAXFS_ROOT_INO)
		return bad(why, "the root as a child");
	if (is_dir(child) && child->parent != dir->ino)
		return bad(why, "directory named outside its parent");
	return 0;
}
