/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Field types of everything DAXFS keeps in shared memory.
 *
 * A field is little-endian and sized. In C it is one of the kernel's __le
 * types, so sparse sees a raw access; in C++ it is a type without conversions,
 * so the compiler does. Only kernel-module/core turns fields into numbers.
 */
#ifndef DAXFS_TYPES_H
#define DAXFS_TYPES_H

#include <linux/types.h>

#ifdef __cplusplus
#include "daxfs/format_types.hpp"
#else
typedef __le16 daxfs_le16;
typedef __le32 daxfs_le32;
typedef __le64 daxfs_le64;
#endif

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <assert.h>
#include <stddef.h>
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "DAXFS needs a little-endian machine: shared words are little-endian by decree"
#endif

#define DAXFS_ASSERT_SIZE(type, bytes) \
	static_assert(sizeof(type) == (bytes), "size of " #type)
#define DAXFS_ASSERT_OFFSET(type, member, bytes) \
	static_assert(offsetof(type, member) == (bytes), "offset of " #type "." #member)

#endif /* DAXFS_TYPES_H */
