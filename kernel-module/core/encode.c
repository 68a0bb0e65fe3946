// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Numbers to bytes: records are built in a local and copied, so destinations need no alignment. */
#include "encode.h"
#include "bytes.h"

void daxfs_encode_super(void *block, const struct daxfs_info *info)
{
	struct daxfs_super *super = block;
	int i;

	memset(super, 0, sizeof(*super));
	super->version = __cpu_to_le32(info->version);
	super->feature_compat = __cpu_to_le64(info->feature_compat);
	super->feature_ro_compat = __cpu_to_le64(info->feature_ro_compat);
	super->feature_incompat = __cpu_to_le64(info->feature_incompat);
	memcpy(super->uuid, info->uuid, sizeof(super->uuid));
	memcpy(super->root, info->root, sizeof(super->root));
	super->image_size = __cpu_to_le64(info->image_size);
	super->data_offset = __cpu_to_le64(info->data_offset);
	super->data_size = __cpu_to_le64(info->data_size);
	super->meta_offset = __cpu_to_le64(info->meta_offset);
	super->meta_size = __cpu_to_le64(info->meta_size);
	super->waste_size = __cpu_to_le64(info->waste_size);
	super->huge_min = __cpu_to_le64(info->huge_min);
	memcpy(super->source, info->source, sizeof(super->source));
	super->source_size = __cpu_to_le64(info->source_size);
	super->data_align_shift = __cpu_to_le32(info->data_align_shift);
	super->profile = __cpu_to_le32(info->profile);
	super->layout_flags = __cpu_to_le32(info->layout_flags);
	super->section_count = __cpu_to_le32(DAXFS_SECTION_COUNT);
	for (i = 0; i < DAXFS_SECTION_COUNT; i++) {
		super->section[i].offset = __cpu_to_le64(info->section[i].offset);
		super->section[i].size = __cpu_to_le64(info->section[i].size);
		super->section[i].count = __cpu_to_le64(info->section[i].count);
	}
	super->crc32c = __cpu_to_le32(daxfs_crc32c(0, super, sizeof(*super)));
}

void daxfs_encode_magic(__u8 bytes[8])
{
	daxfs_le64 magic = __cpu_to_le64(DAXFS_IMAGE_MAGIC);

	memcpy(bytes, &magic, sizeof(magic));
}

void daxfs_uuid_from_root(__u8 uuid[DAXFS_UUID_SIZE], const __u8 root[DAXFS_DIGEST_SIZE])
{
	memcpy(uuid, root, DAXFS_UUID_SIZE);
	uuid[6] = (__u8)((uuid[6] & 0x0f) | 0x80);
	uuid[8] = (__u8)((uuid[8] & 0x3f) | 0x80);
}

void daxfs_encode_inode(void *record, const struct daxfs_attr *attr)
{
	struct daxfs_inode inode = {
		.mode = __cpu_to_le32(attr->mode),
		.flags = __cpu_to_le32(attr->flags),
		.uid = __cpu_to_le32(attr->uid),
		.gid = __cpu_to_le32(attr->gid),
		.size = __cpu_to_le64(attr->size),
		.mtime_sec = __cpu_to_le64((__u64)attr->mtime_sec),
		.mtime_nsec = __cpu_to_le32(attr->mtime_nsec),
		.nlink = __cpu_to_le32(attr->nlink),
		.rdev_major = __cpu_to_le32(attr->rdev_major),
		.rdev_minor = __cpu_to_le32(attr->rdev_minor),
		.data_start = __cpu_to_le64(attr->data_start),
		.data_count = __cpu_to_le64(attr->data_count),
		.xattr_start = __cpu_to_le64(attr->xattr_start),
		.xattr_size = __cpu_to_le32(attr->xattr_size),
		.xattr_count = __cpu_to_le32(attr->xattr_count),
		.parent = __cpu_to_le64(attr->parent),
		.allocated_size = __cpu_to_le64(attr->allocated_size),
	};

	memcpy(record, &inode, sizeof(inode));
}

void daxfs_encode_dirent(void *record, __u32 hash, __u32 name_length, __u32 type, __u64 name,
			 __u64 ino)
{
	struct daxfs_dirent dirent = {
		.hash = __cpu_to_le32(hash),
		.name_length = __cpu_to_le16(name_length),
		.type = (__u8)type,
		.name = __cpu_to_le64(name),
		.ino = __cpu_to_le64(ino),
	};

	memcpy(record, &dirent, sizeof(dirent));
}

void daxfs_encode_extent(void *record, __u64 logical, __u64 offset, __u64 length)
{
	struct daxfs_extent extent = {
		.logical = __cpu_to_le64(logical),
		.offset = __cpu_to_le64(offset),
		.length = __cpu_to_le64(length),
	};

	memcpy(record, &extent, sizeof(extent));
}

__u64 daxfs_xattr_bytes(__u32 name_length, __u32 value_length)
{
	return round_up_to(sizeof(struct daxfs_xattr) + name_length + value_length, 8);
}

void daxfs_encode_xattr(void *record, const char *name, __u32 name_length, const void *value,
			__u32 value_length)
{
	struct daxfs_xattr header = {
		.name_length = __cpu_to_le16(name_length),
		.value_length = __cpu_to_le32(value_length),
	};
	__u8 *bytes = record;

	memset(bytes, 0, daxfs_xattr_bytes(name_length, value_length));
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), name, name_length);
	if (value_length)
		memcpy(bytes + sizeof(header) + name_length, value, value_length);
}
