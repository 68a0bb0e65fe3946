// SPDX-License-Identifier: GPL-2.0-only
/* What the log says of damaged images. */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/fs_context.h>
#include <linux/ratelimit.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/**
 * daxfs_error() - one rate-limited line about an image whose bytes are wrong
 * @sb: the image
 * @format: what is wrong, printf-like
 */
void daxfs_error(const struct super_block *sb, const char *format, ...)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);
	char why[DAXFS_WHY_SIZE];
	va_list args;

	va_start(args, format);
	vscnprintf(why, sizeof(why), format, args);
	va_end(args);
	daxfs_count(daxfs_sb(sb)->region, DAXFS_CORRUPTIONS, 1);
	trace_daxfs_corruption(sb, why);
	if (__ratelimit(&limit))
		pr_err("image %pU (%s): %s\n", daxfs_sb(sb)->image.info.uuid, sb->s_id, why);
}

/**
 * daxfs_refuse() - say why something that was asked for is not done
 * @fc: the mount that asks; NULL: the log is told
 * @format: why, printf-like
 */
void daxfs_refuse(struct fs_context *fc, const char *format, ...)
{
	struct va_format text;
	va_list args;

	va_start(args, format);
	text.fmt = format;
	text.va = &args;
	if (fc)
		errorf(fc, "daxfs: %pV", &text);
	else
		pr_err("%pV\n", &text);
	va_end(args);
}
