// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Extended attributes: one list of entries an inode, sorted by name. */
#include "bytes.h"

int daxfs_xattr_next(const struct daxfs_image *image, const struct daxfs_attr *attr,
		     __u64 *position, struct daxfs_xattr_entry *entry, const char **why)
{
	const struct daxfs_section_info *section = &image->info.section[DAXFS_SECTION_XATTRS];
	const struct daxfs_xattr *header;
	const __u8 *bytes;
	__u64 length;

	if (*position >= attr->xattr_size)
		return 0;
	if (!inside(attr->xattr_start, attr->xattr_size, section->size) ||
	    attr->xattr_size - *position < sizeof(*header))
		return bad(why, "xattr list cut short");
	header = daxfs_meta_at(image, section->offset + attr->xattr_start + *position,
			       attr->xattr_size - *position);
	if (!header)
		return bad(why, "xattrs outside the image");
	entry->name_length = get16(&header->name_length);
	entry->value_length = get32(&header->value_length);
	if (!entry->name_length || entry->name_length > DAXFS_XATTR_NAME_MAX ||
	    entry->value_length > DAXFS_XATTR_VALUE_MAX || get16(&header->reserved))
		return bad(why, "xattr lengths");
	length = round_up_to(sizeof(*header) + entry->name_length + entry->value_length, 8);
	if (length > attr->xattr_size - *position)
		return bad(why, "xattr past the end of its list");
	bytes = (const __u8 *)(header + 1);
	if (memchr(bytes, 0, entry->name_length))
		return bad(why, "NUL in an xattr name");
	entry->name = (const char *)bytes;
	entry->value = bytes + entry->name_length;
	*position += length;
	return 1;
}

int daxfs_xattr_find(const struct daxfs_image *image, const struct daxfs_attr *attr,
		     const char *name, __u32 name_length, struct daxfs_xattr_entry *entry,
		     const char **why)
{
	__u64 position = 0;
	int more;

	while ((more = daxfs_xattr_next(image, attr, &position, entry, why)) > 0)
		if (entry->name_length == name_length && !memcmp(entry->name, name, name_length))
			return 0;
	return more < 0 ? more : -ENODATA;
}
