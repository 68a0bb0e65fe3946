// SPDX-License-Identifier: GPL-2.0-only
/* Reading: one copy from the memory to the reader; no page cache. */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "internal.h"

#define PROBE_BYTES	64	/* a cache line, what machine checks are about */

/* What lies at @position of a regular file; a wrong image is named in the log. */
static int map_at(struct inode *inode, u64 position, struct daxfs_map *map)
{
	const char *why;
	int err;

	err = daxfs_map_at(daxfs_image(inode), &daxfs_node(inode)->attr, position, map, &why);
	if (err)
		daxfs_error(inode->i_sb, "inode %lu: %s", inode->i_ino, why);
	return err;
}

/* A copy fell short: is the memory bad, or the reader's buffer? */
static int why_short(const u8 *source)
{
	u8 line[PROBE_BYTES];

	return copy_mc_to_kernel(line, PTR_ALIGN_DOWN(source, PROBE_BYTES), PROBE_BYTES) ?
	       -EIO : -EFAULT;
}

static ssize_t daxfs_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	const struct daxfs_image *image = daxfs_image(inode);
	u64 size = i_size_read(inode);
	ssize_t done = 0;
	int err = 0;

	while (iov_iter_count(to) && iocb->ki_pos < size) {
		struct daxfs_map map;
		u64 skip, length;
		size_t copied;

		err = map_at(inode, iocb->ki_pos, &map);
		if (err)
			break;
		skip = iocb->ki_pos - map.logical;
		length = min3(map.length - skip, size - iocb->ki_pos, (u64)iov_iter_count(to));
		if (map.hole)
			copied = iov_iter_zero(length, to);
		else
			copied = _copy_mc_to_iter(image->base + map.offset + skip, length, to);
		iocb->ki_pos += copied;
		done += copied;
		if (copied < length) {
			err = map.hole ? -EFAULT :
			      why_short(image->base + map.offset + skip + copied);
			break;
		}
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		cond_resched();
	}
	return done ? done : err;
}

/* Where data or a hole begins at or behind @offset; holes end at the file's end. */
static loff_t seek_extent(struct inode *inode, loff_t offset, bool hole_wanted)
{
	loff_t size = i_size_read(inode);
	struct daxfs_map map;
	int err;

	if (offset < 0 || offset >= size)
		return -ENXIO;
	for (;;) {
		err = map_at(inode, offset, &map);
		if (err)
			return err;
		if (!!map.hole == hole_wanted)
			return offset;
		if (map.length >= size - map.logical)
			return hole_wanted ? size : -ENXIO;
		offset = map.logical + map.length;
		cond_resched();
	}
}

static loff_t daxfs_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);
	offset = seek_extent(inode, offset, whence == SEEK_HOLE);
	if (offset < 0)
		return offset;
	return vfs_setpos(file, offset, inode->i_sb->s_maxbytes);
}

/* Direct I/O is what every read already is. */
static int daxfs_open(struct inode *inode, struct file *file)
{
	file->f_mode |= FMODE_CAN_ODIRECT;
	return generic_file_open(inode, file);
}

/* Only uprobes ask for a page of their own; nothing else fills the page cache. */
static int daxfs_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct daxfs_map map;
	int err;

	err = map_at(inode, folio_pos(folio), &map);
	if (!err && map.hole) {
		folio_zero_range(folio, 0, folio_size(folio));
	} else if (!err) {
		u64 offset = map.offset + (folio_pos(folio) - map.logical);

		if (copy_mc_to_kernel(folio_address(folio), daxfs_image(inode)->base + offset,
				      PAGE_SIZE))
			err = -EIO;
	}
	if (!err)
		folio_mark_uptodate(folio);
	folio_unlock(folio);
	return err;
}

const struct address_space_operations daxfs_aops = {
	.dirty_folio = noop_dirty_folio,
	.read_folio = daxfs_read_folio,
};

const struct file_operations daxfs_file_operations = {
	.open = daxfs_open,
	.llseek = daxfs_llseek,
	.read_iter = daxfs_read_iter,
	.splice_read = copy_splice_read,
	.mmap = daxfs_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
};
