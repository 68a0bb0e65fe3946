// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * CRC-32C (Castagnoli), reflected polynomial 0x82f63b78, RFC 3720 B.4.
 * Half a table: 16 entries, a nibble at a time. It runs over one superblock a
 * mount and over names, so a kilobyte of table would cost more than it saves.
 */
#include "bytes.h"

static const __u32 nibble[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

__u32 daxfs_crc32c(__u32 crc, const void *data, __u64 length)
{
	const __u8 *byte = data;

	crc = ~crc;
	while (length--) {
		crc ^= *byte++;
		crc = (crc >> 4) ^ nibble[crc & 15];
		crc = (crc >> 4) ^ nibble[crc & 15];
	}
	return ~crc;
}

__u32 daxfs_name_hash(const char *name, __u32 name_length)
{
	return daxfs_crc32c(0, name, name_length);
}

int daxfs_name_order(__u32 hash_a, const char *a, __u32 length_a, __u32 hash_b, const char *b,
		     __u32 length_b)
{
	int order;

	if (hash_a != hash_b)
		return hash_a < hash_b ? -1 : 1;
	order = memcmp(a, b, length_a < length_b ? length_a : length_b);
	if (order)
		return order;
	return length_a < length_b ? -1 : length_a > length_b;
}
