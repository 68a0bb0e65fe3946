// SPDX-License-Identifier: GPL-2.0-only
/* Reading: one copy from the memory to the reader; no page cache. */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "internal.h"

#define PROBE_BYTES	64	/* a cache line, what machine checks are about */
#define READ_AT_ONCE	SZ_1M	/* between two looks whether others want the processor */

/* What lies at @position of a regular file; a wrong image is named in the log. */
static int map_at(struct inode *inode, u64 position, struct daxfs_map *map)
{
	const char *why;
	int err;

	err = daxfs_failed(inode);
	if (err)
		return err;
	err = daxfs_map_at(daxfs_image(inode), &daxfs_node(inode)->attr, position, map, &why);
	if (err)
		daxfs_error(inode->i_sb, "inode %llu: %s", daxfs_node(inode)->attr.ino, why);
	return err;
}

/* The kernel's address of the byte at @position, NULL in a hole; @length is cut to one run. */
static int find_bytes(struct inode *inode, u64 position, const u8 **source, u64 *length)
{
	struct daxfs_map map;
	u64 skip;
	int err;

	err = map_at(inode, position, &map);
	if (err)
		return err;
	skip = position - map.logical;
	*length = min(map.length - skip, *length);
	*source = NULL;
	if (map.hole)
		return 0;
	*source = daxfs_address(daxfs_sb(inode->i_sb), map.offset + skip, length);
	if (!*length)
		return -EUCLEAN;
	*length = daxfs_good_length(daxfs_sb(inode->i_sb), map.offset + skip, *length);
	if (!*length)
		return -EIO;
	return daxfs_verify_data(inode->i_sb, map.offset + skip, length);
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
	u64 size = i_size_read(inode);
	ssize_t done = 0;
	int err = 0;

	while (iov_iter_count(to) && iocb->ki_pos < size) {
		u64 length = min_t(u64, size - iocb->ki_pos, iov_iter_count(to));
		const u8 *source;
		size_t copied;

		err = find_bytes(inode, iocb->ki_pos, &source, &length);
		if (err)
			break;
		length = min_t(u64, length, READ_AT_ONCE);
		copied = source ? _copy_mc_to_iter(source, length, to) : iov_iter_zero(length, to);
		iocb->ki_pos += copied;
		done += copied;
		if (copied < length) {
			err = source ? why_short(source + copied) : -EFAULT;
			break;
		}
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		cond_resched();
	}
	daxfs_count(daxfs_sb(inode->i_sb)->region, DAXFS_READS, 1);
	daxfs_count(daxfs_sb(inode->i_sb)->region, DAXFS_READ_BYTES, done);
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
		if (fatal_signal_pending(current))
			return -EINTR;
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
	u64 length = PAGE_SIZE;
	const u8 *source;
	int err;

	err = find_bytes(folio->mapping->host, folio_pos(folio), &source, &length);
	if (!err && !source)
		folio_zero_range(folio, 0, folio_size(folio));
	else if (!err && copy_mc_to_kernel(folio_address(folio), source, PAGE_SIZE))
		err = -EIO;
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
	.setlease = generic_setlease,
	.read_iter = daxfs_read_iter,
	.splice_read = copy_splice_read,
	.mmap = daxfs_mmap,
	.unlocked_ioctl = daxfs_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.get_unmapped_area = thp_get_unmapped_area,
};
