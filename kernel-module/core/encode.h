/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/**
 * DOC: writing a DAXFS image
 *
 * The one place where numbers become the bytes of an image. User space only;
 * the module does not link it. Destinations need no alignment.
 *
 * The order that makes an image: data, then the metadata sections, then
 * daxfs_encode_super() with uuid and root zero, root = SHA-256(that block,
 * metadata area), uuid = daxfs_uuid_from_root(), daxfs_encode_super() again,
 * everything but the magic stored, and the magic last.
 */
#ifndef DAXFS_ENCODE_H
#define DAXFS_ENCODE_H

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * daxfs_encode_super() - the superblock block of @info, its CRC included
 * @block: DAXFS_BLOCK_SIZE bytes; the magic is left zero
 */
void daxfs_encode_super(void *block, const struct daxfs_info *info);

/** daxfs_encode_magic() - the 8 bytes to store last, at the image's byte 0 */
void daxfs_encode_magic(__u8 bytes[8]);

/** daxfs_uuid_from_root() - first 16 bytes of @root as a version 8 UUID (RFC 9562) */
void daxfs_uuid_from_root(__u8 uuid[DAXFS_UUID_SIZE], const __u8 root[DAXFS_DIGEST_SIZE]);

/** daxfs_encode_inode() - sizeof(struct daxfs_inode) bytes; attr->ino is the index, not stored */
void daxfs_encode_inode(void *record, const struct daxfs_attr *attr);

/**
 * daxfs_encode_dirent() - sizeof(struct daxfs_dirent) bytes
 * @name: byte offset of the name in the names section; @type: mode >> 12
 */
void daxfs_encode_dirent(void *record, __u32 hash, __u32 name_length, __u32 type, __u64 name,
			 __u64 ino);

/** daxfs_encode_extent() - sizeof(struct daxfs_extent) bytes, blob 0 */
void daxfs_encode_extent(void *record, __u64 logical, __u64 offset, __u64 length);

/** daxfs_xattr_bytes() - bytes that one entry takes in a list */
__u64 daxfs_xattr_bytes(__u32 name_length, __u32 value_length);

/** daxfs_encode_xattr() - one entry, daxfs_xattr_bytes() long; names sorted by the caller */
void daxfs_encode_xattr(void *record, const char *name, __u32 name_length, const void *value,
			__u32 value_length);

#ifdef __cplusplus
}
#endif

#endif /* DAXFS_ENCODE_H */
