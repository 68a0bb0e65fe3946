// SPDX-License-Identifier: GPL-2.0-only
/* What the log says of damaged images. */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/fs_context.h>
#include <linux/ratelimit.h>

#include "internal.h"

/**
 * daxfs_error() - one rate-limited line about an image whose bytes are wrong
 * @sb: the image
 * @format: what is wrong, printf-like
 */
void daxfs_error(const struct super_block *sb, const char *format, ...)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);
	struct va_format text;
	va_list args;

	if (!__ratelimit(&limit))
		return;
	va_start(args, format);
	text.fmt = format;
	text.va = &args;
	pr_err("image %pU (%s): %pV\n", daxfs_sb(sb)->image.info.uuid, sb->s_id, &text);
	va_end(args);
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
