/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The DAXFS image format, version 1: every structure an image consists of.
 * docs/format.md is the normative text; its tables come from this header.
 *
 * An image is a run of bytes, addressed from its own byte 0:
 *
 *	superblock | data area | metadata area (sections in order) | signature
 *
 * It holds no pointers and no host addresses. All fields are little-endian and
 * naturally aligned; reserved bytes are zero when written and checked when read.
 */
#ifndef DAXFS_FORMAT_H
#define DAXFS_FORMAT_H

#include "daxfs/types.h"

/* 0x89 'D' 'A' 'X' 'F' 'S' CR LF, read as a little-endian number; stored last, in one store. */
#define DAXFS_IMAGE_MAGIC		0x0a0d534658414489ULL
#define DAXFS_VERSION		1

#define DAXFS_BLOCK_SHIFT	12
#define DAXFS_BLOCK_SIZE	(1U << DAXFS_BLOCK_SHIFT)
#define DAXFS_CHUNK_SHIFT	21			/* huge page and unit of a pool */
#define DAXFS_CHUNK_SIZE	(1U << DAXFS_CHUNK_SHIFT)
#define DAXFS_PIECE_SHIFT	16			/* bytes under one data digest */
#define DAXFS_PIECE_SIZE	(1U << DAXFS_PIECE_SHIFT)
#define DAXFS_SECTION_ALIGN	64
#define DAXFS_DIGEST_SIZE	32			/* SHA-256 */
#define DAXFS_UUID_SIZE		16
#define DAXFS_NAME_MAX		255
#define DAXFS_SYMLINK_MAX	4095
#define DAXFS_XATTR_NAME_MAX	255
#define DAXFS_XATTR_VALUE_MAX	65536
#define DAXFS_XATTR_LIST_MAX	(16U << 20)		/* bytes of one inode's list */
#define DAXFS_ROOT_INO		1
#define DAXFS_SIZE_MAX		0x7fffffffffffffffULL

/* What feature words may say. An unknown incompat bit is refused. */
#define DAXFS_INCOMPAT_BLOBS		(1ULL << 0)	/* extents in other images */
#define DAXFS_INCOMPAT_NOT_RESIDENT	(1ULL << 1)	/* extents without memory */
#define DAXFS_INCOMPAT_KNOWN		0ULL
#define DAXFS_RO_COMPAT_KNOWN		0ULL
#define DAXFS_COMPAT_KNOWN		0ULL

/* daxfs_super.layout_flags: options the image was built with. */
#define DAXFS_LAYOUT_USER_XATTR		(1U << 0)	/* user.overlay.*, not trusted.overlay.* */
#define DAXFS_LAYOUT_FLATTENED		(1U << 1)	/* several layers merged into one tree */
#define DAXFS_LAYOUT_KNOWN		3U

/* daxfs_super.profile: what a tar means. */
#define DAXFS_PROFILE_LAYER	1U	/* what containerd makes of it */
#define DAXFS_PROFILE_ARCHIVE	2U	/* faithful to the last attribute */

/* Sections of an image, in the order in which they lie in it. */
#define DAXFS_SECTION_INODES	0	/* struct daxfs_inode, number i at index i - 1 */
#define DAXFS_SECTION_DIRENTS	1	/* struct daxfs_dirent, one sorted run a directory */
#define DAXFS_SECTION_EXTENTS	2	/* struct daxfs_extent, one sorted run a file */
#define DAXFS_SECTION_NAMES	3	/* bytes: names and symlink targets */
#define DAXFS_SECTION_XATTRS	4	/* struct daxfs_xattr lists */
#define DAXFS_SECTION_BLOBS	5	/* struct daxfs_blob, blob b at index b - 1 */
#define DAXFS_SECTION_DIGESTS	6	/* DAXFS_DIGEST_SIZE bytes a piece of the data area */
#define DAXFS_SECTION_SIGNATURE	7	/* struct daxfs_signature and its bytes, outside root */
#define DAXFS_SECTION_COUNT	8
#define DAXFS_SECTION_SLOTS	16	/* room in the superblock */

struct daxfs_section {
	daxfs_le64 offset;		/* 0x00: from image start, multiple of SECTION_ALIGN */
	daxfs_le64 size;		/* 0x08: bytes */
	daxfs_le64 count;		/* 0x10: records; names: strings; xattrs: lists */
	daxfs_le64 reserved;		/* 0x18 */
};
DAXFS_ASSERT_OFFSET(struct daxfs_section, count, 0x10);
DAXFS_ASSERT_SIZE(struct daxfs_section, 0x20);

struct daxfs_super {
	daxfs_le64 magic;		/* 0x000: DAXFS_IMAGE_MAGIC, written last */
	daxfs_le32 crc32c;		/* 0x008: of this block, see docs/format.md */
	daxfs_le32 version;		/* 0x00c: DAXFS_VERSION */
	daxfs_le64 feature_compat;	/* 0x010: unknown bits are ignored */
	daxfs_le64 feature_ro_compat;	/* 0x018: unknown bits forbid writing */
	daxfs_le64 feature_incompat;	/* 0x020: unknown bits forbid reading */
	__u8 uuid[DAXFS_UUID_SIZE];	/* 0x028: from root, as a version 8 UUID */
	__u8 root[DAXFS_DIGEST_SIZE];	/* 0x038: SHA-256, see docs/format.md "Root" */
	daxfs_le64 image_size;		/* 0x058: bytes, multiple of BLOCK_SIZE */
	daxfs_le64 data_offset;		/* 0x060: bytes, BLOCK_SIZE in version 1 */
	daxfs_le64 data_size;		/* 0x068: bytes, multiple of BLOCK_SIZE */
	daxfs_le64 meta_offset;		/* 0x070: bytes, where the data area ends */
	daxfs_le64 meta_size;		/* 0x078: bytes up to the end of the digest table */
	daxfs_le64 waste_size;		/* 0x080: bytes of the data area no file uses */
	daxfs_le64 huge_min;		/* 0x088: bytes; files this large are HUGE; 0 = none */
	daxfs_le32 data_align_shift;	/* 0x090: 12 to 16; extents start on this boundary */
	daxfs_le32 profile;		/* 0x094: DAXFS_PROFILE_* */
	daxfs_le32 layout_flags;	/* 0x098: DAXFS_LAYOUT_* */
	daxfs_le32 section_count;	/* 0x09c: DAXFS_SECTION_COUNT */
	__u8 source[DAXFS_DIGEST_SIZE];	/* 0x0a0: SHA-256 of the tar it is made of; or zeros */
	daxfs_le64 source_size;		/* 0x0c0: bytes of that tar, all of them */
	__u8 reserved0[0x38];		/* 0x0c8 */
	struct daxfs_section section[DAXFS_SECTION_SLOTS]; /* 0x100 */
	__u8 reserved1[0xd00];		/* 0x300 */
};
DAXFS_ASSERT_OFFSET(struct daxfs_super, uuid, 0x28);
DAXFS_ASSERT_OFFSET(struct daxfs_super, root, 0x38);
DAXFS_ASSERT_OFFSET(struct daxfs_super, image_size, 0x58);
DAXFS_ASSERT_OFFSET(struct daxfs_super, data_align_shift, 0x90);
DAXFS_ASSERT_OFFSET(struct daxfs_super, source, 0xa0);
DAXFS_ASSERT_OFFSET(struct daxfs_super, source_size, 0xc0);
DAXFS_ASSERT_OFFSET(struct daxfs_super, section, 0x100);
DAXFS_ASSERT_OFFSET(struct daxfs_super, reserved1, 0x300);
DAXFS_ASSERT_SIZE(struct daxfs_super, 0x1000);

/* daxfs_inode.flags */
#define DAXFS_INODE_HUGE	(1U << 0)	/* congruent mod 2 MiB, last chunk its own */
#define DAXFS_INODE_IMPLICIT	(1U << 1)	/* directory no tar entry ever named */
#define DAXFS_INODE_KNOWN	3U

struct daxfs_inode {
	daxfs_le32 mode;		/* 0x00: type and permissions as in stat(2) */
	daxfs_le32 flags;		/* 0x04: DAXFS_INODE_* */
	daxfs_le32 uid;			/* 0x08 */
	daxfs_le32 gid;			/* 0x0c */
	daxfs_le64 size;		/* 0x10: bytes; directories 0; symlinks target length */
	daxfs_le64 mtime_sec;		/* 0x18: two's complement, since 1970 */
	daxfs_le32 mtime_nsec;		/* 0x20: 0 to 999999999 */
	daxfs_le32 nlink;		/* 0x24: names; directories 2 + subdirectories */
	daxfs_le32 rdev_major;		/* 0x28: device nodes only */
	daxfs_le32 rdev_minor;		/* 0x2c */
	daxfs_le64 data_start;		/* 0x30: first extent, dirent, or byte in names */
	daxfs_le64 data_count;		/* 0x38: extents, dirents, or bytes of the target */
	daxfs_le64 xattr_start;		/* 0x40: byte in xattrs, multiple of 8 */
	daxfs_le32 xattr_size;		/* 0x48: bytes of the list; 0 = none */
	daxfs_le32 xattr_count;		/* 0x4c */
	daxfs_le64 parent;		/* 0x50: directories: inode number of ".." */
	daxfs_le64 allocated_size;	/* 0x58: bytes of extents, holes left out */
	__u8 reserved[0x20];		/* 0x60 */
};
DAXFS_ASSERT_OFFSET(struct daxfs_inode, size, 0x10);
DAXFS_ASSERT_OFFSET(struct daxfs_inode, data_start, 0x30);
DAXFS_ASSERT_OFFSET(struct daxfs_inode, parent, 0x50);
DAXFS_ASSERT_OFFSET(struct daxfs_inode, reserved, 0x60);
DAXFS_ASSERT_SIZE(struct daxfs_inode, 0x80);

/* Sorted by (hash, name bytes); "." and ".." are not stored. */
struct daxfs_dirent {
	daxfs_le32 hash;		/* 0x00: CRC32C of the name */
	daxfs_le16 name_length;		/* 0x04: bytes, 1 to NAME_MAX */
	__u8 type;			/* 0x06: the inode's mode >> 12 */
	__u8 reserved0;			/* 0x07 */
	daxfs_le64 name;		/* 0x08: byte in names */
	daxfs_le64 ino;			/* 0x10 */
	daxfs_le64 reserved1;		/* 0x18 */
};
DAXFS_ASSERT_OFFSET(struct daxfs_dirent, name, 0x08);
DAXFS_ASSERT_SIZE(struct daxfs_dirent, 0x20);

/* daxfs_extent.flags */
#define DAXFS_EXTENT_NOT_RESIDENT	(1U << 0)	/* reserved: larger than the pool */

/* Sorted by logical, not overlapping; a gap is a hole. */
struct daxfs_extent {
	daxfs_le64 logical;		/* 0x00: byte in the file, on data_align_shift */
	daxfs_le32 blob;		/* 0x08: 0 = this image */
	daxfs_le32 flags;		/* 0x0c: DAXFS_EXTENT_* */
	daxfs_le64 offset;		/* 0x10: byte in the blob, on data_align_shift */
	daxfs_le64 length;		/* 0x18: bytes, whole blocks; zero past the size */
};
DAXFS_ASSERT_OFFSET(struct daxfs_extent, offset, 0x10);
DAXFS_ASSERT_SIZE(struct daxfs_extent, 0x20);

/* Followed by the name, the value, and zeros up to a multiple of 8; sorted by name bytes. */
struct daxfs_xattr {
	daxfs_le16 name_length;		/* 0x00: bytes of the whole name, prefix included */
	daxfs_le16 reserved;		/* 0x02 */
	daxfs_le32 value_length;	/* 0x04: bytes, 0 to XATTR_VALUE_MAX */
};
DAXFS_ASSERT_SIZE(struct daxfs_xattr, 0x08);

/* Another image that extents may point into; none in version 1. */
struct daxfs_blob {
	__u8 root[DAXFS_DIGEST_SIZE];	/* 0x00: root digest of that image */
	daxfs_le64 size;		/* 0x20: bytes of that image */
	__u8 reserved[0x18];		/* 0x28 */
};
DAXFS_ASSERT_OFFSET(struct daxfs_blob, size, 0x20);
DAXFS_ASSERT_SIZE(struct daxfs_blob, 0x40);

/* Over root; reserved in version 1 (the section is empty). */
struct daxfs_signature {
	daxfs_le32 type;		/* 0x00 */
	daxfs_le32 length;		/* 0x04: bytes that follow */
	__u8 key_id[DAXFS_DIGEST_SIZE];	/* 0x08 */
	__u8 reserved[0x18];		/* 0x28 */
};
DAXFS_ASSERT_SIZE(struct daxfs_signature, 0x40);

#endif /* DAXFS_FORMAT_H */
