/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/**
 * DOC: reading a DAXFS image
 *
 * Pure functions over bytes that nobody trusts: another host may write them
 * while they are read. They neither allocate, nor sleep, nor print; the same
 * code runs in the kernel, in user space, under fuzzers and simulators.
 *
 * Rules that hold for every function here:
 *
 * 1. A field is read once into a local, checked, then used.
 * 2. An offset becomes a pointer only in daxfs_meta_at() and daxfs_image_at().
 * 3. Whatever the bytes say, no access leaves the superblock and the metadata area,
 *    and every loop is bounded by a number that was checked. Where file data is, core
 *    says by offset; who reads it may have it elsewhere (place.h).
 * 4. The answer is 0 or a negative errno: -EUCLEAN when the bytes are wrong,
 *    with *why pointing to a static text that says what is; @why is never NULL.
 */
#ifndef DAXFS_CORE_H
#define DAXFS_CORE_H

#include "daxfs/format.h"

#ifdef __cplusplus
extern "C" {
#endif

/** struct daxfs_section_info - one section. @offset, @size: bytes; @count: records */
struct daxfs_section_info {
	__u64 offset;
	__u64 size;
	__u64 count;
};

/** struct daxfs_info - the superblock as numbers, all checked; units as in format.h */
struct daxfs_info {
	__u64 feature_compat;
	__u64 feature_ro_compat;
	__u64 feature_incompat;
	__u64 image_size;
	__u64 data_offset;
	__u64 data_size;
	__u64 meta_offset;
	__u64 meta_size;
	__u64 waste_size;
	__u64 huge_min;
	__u64 source_size;
	__u32 data_align_shift;
	__u32 profile;
	__u32 layout_flags;
	__u32 version;
	__u8 uuid[DAXFS_UUID_SIZE];
	__u8 root[DAXFS_DIGEST_SIZE];
	__u8 source[DAXFS_DIGEST_SIZE];
	struct daxfs_section_info section[DAXFS_SECTION_COUNT];
};

/**
 * struct daxfs_image - an opened image; its memory stays the caller's
 * @base: its first byte, page-aligned, where all of it is contiguous; else NULL
 * @meta: byte info.meta_offset; from there to the image's end it is contiguous
 * @info: what its superblock said when it was opened
 */
struct daxfs_image {
	const __u8 *base;
	const __u8 *meta;
	struct daxfs_info info;
};

/** struct daxfs_attr - one inode as numbers; units as in struct daxfs_inode */
struct daxfs_attr {
	__u64 ino;
	__u64 size;
	__u64 allocated_size;
	__s64 mtime_sec;
	__u32 mtime_nsec;
	__u32 mode;
	__u32 flags;
	__u32 uid;
	__u32 gid;
	__u32 nlink;
	__u32 rdev_major;
	__u32 rdev_minor;
	__u64 data_start;
	__u64 data_count;
	__u64 xattr_start;
	__u32 xattr_size;
	__u32 xattr_count;
	__u64 parent;
};

/** struct daxfs_entry - one directory entry. @name: in the image, not terminated */
struct daxfs_entry {
	const char *name;
	__u32 name_length;
	__u32 type;		/* mode >> 12, equal to DT_* */
	__u64 ino;
};

/** struct daxfs_map - where a run of file bytes lies; all in bytes. A hole has @hole set */
struct daxfs_map {
	__u64 logical;
	__u64 length;
	__u64 offset;		/* in the image */
	int hole;
};

/** struct daxfs_xattr_entry - one extended attribute; both pointers into the image */
struct daxfs_xattr_entry {
	const char *name;	/* with prefix, not terminated */
	const __u8 *value;
	__u32 name_length;
	__u32 value_length;
};

/**
 * daxfs_meta_at() - from an offset to a pointer into metadata; all that core itself needs
 * @image: opened image
 * @offset: bytes from its start
 * @length: bytes wanted
 * Return: the address, or NULL when [offset, offset + length) is not in the metadata area.
 */
static inline const void *daxfs_meta_at(const struct daxfs_image *image, __u64 offset,
					__u64 length)
{
	const struct daxfs_info *info = &image->info;

	if (offset < info->meta_offset || offset > info->image_size ||
	    length > info->image_size - offset)
		return NULL;
	return image->meta + (offset - info->meta_offset);
}

/**
 * daxfs_image_at() - from an offset to a pointer anywhere into an image that is contiguous
 * @image: opened image
 * @offset: bytes from its start
 * @length: bytes wanted
 * Return: the address, or NULL when [offset, offset + length) is not inside, or not contiguous.
 */
static inline const void *daxfs_image_at(const struct daxfs_image *image, __u64 offset,
					 __u64 length)
{
	if (offset > image->info.image_size || length > image->info.image_size - offset)
		return NULL;
	return image->base ? image->base + offset : NULL;
}

/**
 * daxfs_image_read_super() - check a superblock and the bounds of every section
 * @image: info filled on success; where base and meta are is for the caller to say
 * @block: the image's first DAXFS_BLOCK_SIZE bytes
 * @size: bytes that the image may have
 * @why: static text on failure
 * Return: 0; -EINVAL no DAXFS image; -EOPNOTSUPP version or incompat feature
 * unknown; -EUCLEAN damaged; -EFBIG the image says it is larger than @size.
 */
int daxfs_image_read_super(struct daxfs_image *image, const void *block, __u64 size,
			   const char **why);

/**
 * daxfs_image_open() - the same of an image that is contiguous, ready for use
 * @base: first byte, page-aligned, must stay readable as long as @image is used
 * @size: readable bytes at @base
 */
int daxfs_image_open(struct daxfs_image *image, const void *base, __u64 size, const char **why);

/**
 * daxfs_super_for_root() - the superblock as root covers it
 * @block: DAXFS_BLOCK_SIZE bytes, filled: magic, crc32c, uuid and root are zero
 * @super: DAXFS_BLOCK_SIZE bytes, read
 * root = SHA-256(@block, then the metadata area).
 */
void daxfs_super_for_root(void *block, const void *super);

/**
 * daxfs_inode_get() - read and check one inode
 * Return: 0; -ENOENT no such number; -EUCLEAN.
 */
int daxfs_inode_get(const struct daxfs_image *image, __u64 ino, struct daxfs_attr *attr,
		    const char **why);

/**
 * daxfs_dir_entry() - read and check entry @index, 0 to attr->data_count - 1
 * @dir: a directory of this image
 * Return: 0; -ENOENT past the end; -ENOTDIR; -EUCLEAN.
 */
int daxfs_dir_entry(const struct daxfs_image *image, const struct daxfs_attr *dir, __u64 index,
		    struct daxfs_entry *entry, const char **why);

/**
 * daxfs_dir_find() - look a name up: binary search over (hash, name)
 * Return: 0; -ENOENT; -ENOTDIR; -EUCLEAN.
 */
int daxfs_dir_find(const struct daxfs_image *image, const struct daxfs_attr *dir,
		   const char *name, __u32 name_length, struct daxfs_entry *entry,
		   const char **why);

/**
 * daxfs_dir_check() - check order and bounds of entries [first, first + count)
 * Neighbours are compared, entry @first with the one before it too, so that a
 * directory may be checked in steps. Past the end is no error.
 */
int daxfs_dir_check(const struct daxfs_image *image, const struct daxfs_attr *dir, __u64 first,
		    __u64 count, const char **why);

/**
 * daxfs_child_check() - does the inode an entry names fit the entry?
 * Same type; a directory's parent is @dir; the root is nobody's child. So the
 * directories reached from the root form a tree, whatever the bytes say.
 */
int daxfs_child_check(const struct daxfs_attr *dir, const struct daxfs_entry *entry,
		      const struct daxfs_attr *child, const char **why);

/**
 * daxfs_symlink_target() - the target of a symbolic link
 * @target: into the image, attr->size bytes, not terminated
 * Return: 0; -EINVAL no symbolic link; -EUCLEAN (a NUL in it, out of bounds).
 */
int daxfs_symlink_target(const struct daxfs_image *image, const struct daxfs_attr *attr,
			 const char **target, const char **why);

/**
 * daxfs_extent_get() - read and check extent @index, 0 to attr->data_count - 1
 * Return: 0; -ENOENT past the end; -EINVAL no regular file; -EUCLEAN.
 */
int daxfs_extent_get(const struct daxfs_image *image, const struct daxfs_attr *attr,
		     __u64 index, struct daxfs_map *map, const char **why);

/**
 * daxfs_extents_check() - check order and bounds of extents [first, first + count)
 * Neighbours are compared as in daxfs_dir_check(). @allocated: adds up the bytes.
 */
int daxfs_extents_check(const struct daxfs_image *image, const struct daxfs_attr *attr,
			__u64 first, __u64 count, __u64 *allocated, const char **why);

/**
 * daxfs_map_at() - what lies at byte @position of a regular file
 * @map: the extent or hole that contains @position; a last hole ends at
 * DAXFS_SIZE_MAX. Binary search over extents.
 * Return: 0; -EINVAL no regular file; -EUCLEAN.
 */
int daxfs_map_at(const struct daxfs_image *image, const struct daxfs_attr *attr, __u64 position,
		 struct daxfs_map *map, const char **why);

/**
 * daxfs_xattr_next() - walk an inode's extended attributes
 * @position: 0 to begin; moved on
 * Return: 1 with @entry filled; 0 at the end; -EUCLEAN.
 */
int daxfs_xattr_next(const struct daxfs_image *image, const struct daxfs_attr *attr,
		     __u64 *position, struct daxfs_xattr_entry *entry, const char **why);

/**
 * daxfs_xattr_find() - look an extended attribute up by its whole name
 * Return: 0; -ENODATA; -EUCLEAN.
 */
int daxfs_xattr_find(const struct daxfs_image *image, const struct daxfs_attr *attr,
		     const char *name, __u32 name_length, struct daxfs_xattr_entry *entry,
		     const char **why);

/** daxfs_piece_count() - pieces of the data area, i.e. digests in the table */
__u64 daxfs_piece_count(const struct daxfs_info *info);

/**
 * daxfs_piece_get() - bytes and digest of piece @piece of the data area
 * Piece p covers the data area's bytes in [p << PIECE_SHIFT, (p + 1) << PIECE_SHIFT)
 * of the image; the first and last may be shorter.
 * @offset, @length: bytes in the image; @digest: into the image
 * Return: 0; -ENOENT past the end; -EUCLEAN.
 */
int daxfs_piece_get(const struct daxfs_image *image, __u64 piece, __u64 *offset, __u64 *length,
		    const __u8 **digest, const char **why);

/** daxfs_crc32c() - CRC-32C (RFC 3720 B.4) of @length bytes, going on from @crc (0 first) */
__u32 daxfs_crc32c(__u32 crc, const void *data, __u64 length);

/** daxfs_name_hash() - the hash directories are sorted by: CRC-32C of the name */
__u32 daxfs_name_hash(const char *name, __u32 name_length);

/** daxfs_name_order() - order of two names in a directory; <0, 0, >0 */
int daxfs_name_order(__u32 hash_a, const char *a, __u32 length_a, __u32 hash_b, const char *b,
		     __u32 length_b);

#ifdef __cplusplus
}
#endif

#endif /* DAXFS_CORE_H */
