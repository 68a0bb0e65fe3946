// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Superblock: magic, version, features, CRC, and the bounds of every section. */
#include "bytes.h"

/* Bytes of one record, by section; 1 where records have no fixed size. */
static const __u32 record_size[DAXFS_SECTION_COUNT] = {
	[DAXFS_SECTION_INODES] = sizeof(struct daxfs_inode),
	[DAXFS_SECTION_DIRENTS] = sizeof(struct daxfs_dirent),
	[DAXFS_SECTION_EXTENTS] = sizeof(struct daxfs_extent),
	[DAXFS_SECTION_NAMES] = 1,
	[DAXFS_SECTION_XATTRS] = 1,
	[DAXFS_SECTION_BLOBS] = sizeof(struct daxfs_blob),
	[DAXFS_SECTION_DIGESTS] = DAXFS_DIGEST_SIZE,
	[DAXFS_SECTION_SIGNATURE] = 1,
};

static __u32 super_crc(const struct daxfs_super *super)
{
	static const __u8 zero[12];
	__u32 crc = daxfs_crc32c(0, zero, sizeof(zero));

	return daxfs_crc32c(crc, (const __u8 *)super + sizeof(zero),
			    sizeof(*super) - sizeof(zero));
}

static void read_numbers(struct daxfs_info *info, const struct daxfs_super *super)
{
	int i;

	info->version = get32(&super->version);
	info->feature_compat = get64(&super->feature_compat);
	info->feature_ro_compat = get64(&super->feature_ro_compat);
	info->feature_incompat = get64(&super->feature_incompat);
	memcpy(info->uuid, super->uuid, sizeof(info->uuid));
	memcpy(info->root, super->root, sizeof(info->root));
	info->image_size = get64(&super->image_size);
	info->data_offset = get64(&super->data_offset);
	info->data_size = get64(&super->data_size);
	info->meta_offset = get64(&super->meta_offset);
	info->meta_size = get64(&super->meta_size);
	info->waste_size = get64(&super->waste_size);
	info->huge_min = get64(&super->huge_min);
	memcpy(info->source, super->source, sizeof(info->source));
	info->source_size = get64(&super->source_size);
	info->data_align_shift = get32(&super->data_align_shift);
	info->profile = get32(&super->profile);
	info->layout_flags = get32(&super->layout_flags);
	for (i = 0; i < DAXFS_SECTION_COUNT; i++) {
		info->section[i].offset = get64(&super->section[i].offset);
		info->section[i].size = get64(&super->section[i].size);
		info->section[i].count = get64(&super->section[i].count);
	}
}

static int check_areas(const struct daxfs_info *info, const char **why)
{
	if (info->image_size > DAXFS_SIZE_MAX || info->image_size % DAXFS_BLOCK_SIZE)
		return bad(why, "image size out of range");
	if (info->data_offset != DAXFS_BLOCK_SIZE || info->data_size % DAXFS_BLOCK_SIZE)
		return bad(why, "data area misplaced");
	if (!inside(info->data_offset, info->data_size, info->image_size))
		return bad(why, "data area outside the image");
	if (info->meta_offset != info->data_offset + info->data_size)
		return bad(why, "metadata area misplaced");
	if (!inside(info->meta_offset, info->meta_size, info->image_size))
		return bad(why, "metadata area outside the image");
	if (info->waste_size > info->data_size)
		return bad(why, "more waste than data");
	if (info->data_align_shift < DAXFS_BLOCK_SHIFT || info->data_align_shift > 16)
		return bad(why, "data alignment out of range");
	if (info->profile != DAXFS_PROFILE_LAYER && info->profile != DAXFS_PROFILE_ARCHIVE)
		return bad(why, "unknown profile");
	if (info->layout_flags & ~DAXFS_LAYOUT_KNOWN)
		return bad(why, "unknown layout flags");
	if (info->source_size > DAXFS_SIZE_MAX)
		return bad(why, "size of the source out of range");
	if (info->source_size && all_zero(info->source, sizeof(info->source)))
		return bad(why, "source with a size and without a digest");
	return 0;
}

/* Sections lie one behind the other from meta_offset on, each at the next aligned byte. */
static int check_sections(const struct daxfs_info *info, const char **why)
{
	__u64 next = info->meta_offset;
	int i;

	for (i = 0; i < DAXFS_SECTION_COUNT; i++) {
		const struct daxfs_section_info *s = &info->section[i];

		if (i == DAXFS_SECTION_SIGNATURE && next != info->meta_offset + info->meta_size)
			return bad(why, "metadata area does not end behind the digests");
		if (s->offset != next)
			return bad(why, "section misplaced");
		if (!inside(s->offset, s->size, info->image_size))
			return bad(why, "section outside the image");
		if (record_size[i] > 1 &&
		    (s->count > s->size || s->count * record_size[i] != s->size))
			return bad(why, "section size is not its count of records");
		next = round_up_to(s->offset + s->size, DAXFS_SECTION_ALIGN);
		if (next > info->image_size)
			return bad(why, "section outside the image");
	}
	if (round_up_to(next, DAXFS_BLOCK_SIZE) != info->image_size)
		return bad(why, "image does not end behind its last section");
	if (!info->section[DAXFS_SECTION_INODES].count)
		return bad(why, "no root inode");
	if (info->section[DAXFS_SECTION_BLOBS].count)
		return bad(why, "blob table without its feature");
	if (info->section[DAXFS_SECTION_DIGESTS].count != daxfs_piece_count(info))
		return bad(why, "digest table does not fit the data area");
	return 0;
}

static int check_reserved(const struct daxfs_super *super, const char **why)
{
	int i;

	if (get32(&super->section_count) != DAXFS_SECTION_COUNT)
		return bad(why, "section count");
	if (!all_zero(super->reserved0, sizeof(super->reserved0)) ||
	    !all_zero(super->reserved1, sizeof(super->reserved1)))
		return bad(why, "reserved bytes of the superblock are not zero");
	for (i = 0; i < DAXFS_SECTION_COUNT; i++)
		if (get64(&super->section[i].reserved))
			return bad(why, "reserved bytes of a section are not zero");
	if (!all_zero((const __u8 *)&super->section[DAXFS_SECTION_COUNT],
		      sizeof(super->section[0]) * (DAXFS_SECTION_SLOTS - DAXFS_SECTION_COUNT)))
		return bad(why, "unused section slots are not zero");
	return 0;
}

int daxfs_image_read_super(struct daxfs_image *image, const void *block, __u64 size,
			   const char **why)
{
	const struct daxfs_super *super = block;
	struct daxfs_info *info = &image->info;
	int err;

	image->base = NULL;
	image->meta = NULL;
	if (size < sizeof(*super)) {
		*why = "shorter than a superblock";
		return -EINVAL;
	}
	if (get64(&super->magic) != DAXFS_IMAGE_MAGIC) {
		*why = "no DAXFS magic";
		return -EINVAL;
	}
	read_numbers(info, super);
	if (info->version != DAXFS_VERSION) {
		*why = "format version unknown, a newer daxfs is needed";
		return -EOPNOTSUPP;
	}
	if (get32(&super->crc32c) != super_crc(super))
		return bad(why, "superblock checksum");
	if (info->feature_incompat & ~DAXFS_INCOMPAT_KNOWN) {
		*why = "incompatible feature unknown, a newer daxfs is needed";
		return -EOPNOTSUPP;
	}
	err = check_reserved(super, why);
	if (!err)
		err = check_areas(info, why);
	if (!err)
		err = check_sections(info, why);
	if (err)
		return err;
	if (info->image_size > size) {
		*why = "image is larger than the memory given for it";
		return -EFBIG;
	}
	return 0;
}

int daxfs_image_open(struct daxfs_image *image, const void *base, __u64 size, const char **why)
{
	int err = daxfs_image_read_super(image, base, size, why);

	if (err)
		return err;
	image->base = base;
	image->meta = image->base + image->info.meta_offset;
	return 0;
}

void daxfs_super_for_root(void *block, const void *super)
{
	struct daxfs_super *copy = block;

	memcpy(copy, super, sizeof(*copy));
	memset(&copy->magic, 0, sizeof(copy->magic));
	memset(&copy->crc32c, 0, sizeof(copy->crc32c));
	memset(copy->uuid, 0, sizeof(copy->uuid));
	memset(copy->root, 0, sizeof(copy->root));
}

__u64 daxfs_piece_count(const struct daxfs_info *info)
{
	if (!info->data_size)
		return 0;
	return ((info->data_offset + info->data_size - 1) >> DAXFS_PIECE_SHIFT) -
	       (info->data_offset >> DAXFS_PIECE_SHIFT) + 1;
}

int daxfs_piece_get(const struct daxfs_image *image, __u64 piece, __u64 *offset, __u64 *length,
		    const __u8 **digest, const char **why)
{
	__u64 data_end = image->info.data_offset + image->info.data_size;
	__u64 start, end;

	if (piece >= image->info.section[DAXFS_SECTION_DIGESTS].count)
		return -ENOENT;
	*digest = record_at(image, DAXFS_SECTION_DIGESTS, piece, DAXFS_DIGEST_SIZE);
	if (!*digest)
		return bad(why, "digest table outside the image");
	start = piece << DAXFS_PIECE_SHIFT;
	end = start + DAXFS_PIECE_SIZE;
	*offset = start < image->info.data_offset ? image->info.data_offset : start;
	*length = (end > data_end ? data_end : end) - *offset;
	return 0;
}
