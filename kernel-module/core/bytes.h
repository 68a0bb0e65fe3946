/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Private to core: how a field becomes a number, and the few words of the platform core needs. */
#ifndef DAXFS_BYTES_H
#define DAXFS_BYTES_H

#include "core.h"

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/stat.h>
#include <linux/string.h>
#include <asm/byteorder.h>
#else
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#define __le16_to_cpu(v)	((__u16)(v))
#define __le32_to_cpu(v)	((__u32)(v))
#define __le64_to_cpu(v)	((__u64)(v))
#define __cpu_to_le16(v)	((daxfs_le16)(v))
#define __cpu_to_le32(v)	((daxfs_le32)(v))
#define __cpu_to_le64(v)	((daxfs_le64)(v))
#endif

/* One load each: the bytes may change under us, the local does not. */
static inline __u16 get16(const daxfs_le16 *field)
{
	return __le16_to_cpu(*(const volatile daxfs_le16 *)field);
}

static inline __u32 get32(const daxfs_le32 *field)
{
	return __le32_to_cpu(*(const volatile daxfs_le32 *)field);
}

static inline __u64 get64(const daxfs_le64 *field)
{
	return __le64_to_cpu(*(const volatile daxfs_le64 *)field);
}

static inline int bad(const char **why, const char *text)
{
	*why = text;
	return -EUCLEAN;
}

static inline int all_zero(const __u8 *bytes, __u64 length)
{
	__u64 i;

	for (i = 0; i < length; i++)
		if (bytes[i])
			return 0;
	return 1;
}

static inline __u64 round_up_to(__u64 value, __u64 unit)
{
	return (value + unit - 1) & ~(unit - 1);
}

/* Record @index of @record_size bytes in a section; NULL when there is none. */
static inline const void *record_at(const struct daxfs_image *image, int section, __u64 index,
				    __u64 record_size)
{
	const struct daxfs_section_info *s = &image->info.section[section];

	if (index >= s->count)
		return NULL;
	return daxfs_meta_at(image, s->offset + index * record_size, record_size);
}

/* Is [start, start + length) inside a section of @size units? */
static inline int inside(__u64 start, __u64 length, __u64 size)
{
	return start <= size && length <= size - start;
}

#endif /* DAXFS_BYTES_H */
