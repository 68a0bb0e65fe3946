// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bytes of a file, or a whole image, as a dma-buf: other drivers let their devices read them where
 * they are. A dma-buf pins the chunks it shows, like any other reference to their pages: it
 * outlives the mount, and while it is open the chunks are given to nobody else.
 */
#include <linux/capability.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "daxfs/ioctl.h"
#include "internal.h"

#define RUN_MAX		SZ_1G	/* a length in a scatterlist has 32 bits */
#define RUNS_MAX	65536	/* 1 MiB of them */

/* Contiguous bytes. */
struct run {
	phys_addr_t phys;
	u64 length;
};

/**
 * struct shown - what a dma-buf shows
 * @run: the bytes, in order
 * @count: of them
 * @pinned: pages with a reference of ours: of each run, one in each chunk that it is in
 * @writable: devices may map it for both directions, and the kernel at all
 */
struct shown {
	struct run *run;
	unsigned int count;
	u64 pinned;
	bool writable;
};

/* The next chunk's part of a run from @at on. */
static phys_addr_t next_chunk(phys_addr_t at)
{
	return round_down(at, DAXFS_CHUNK_SIZE) + DAXFS_CHUNK_SIZE;
}

static bool pin(struct shown *shown)
{
	unsigned int i;
	phys_addr_t at;

	for (i = 0; i < shown->count; i++) {
		const struct run *run = &shown->run[i];

		for (at = run->phys; at < run->phys + run->length; at = next_chunk(at)) {
			if (fatal_signal_pending(current) ||
			    !try_get_page(pfn_to_page(PHYS_PFN(at))))
				return false;
			shown->pinned++;
		}
		cond_resched();
	}
	return true;
}

static void unpin(struct shown *shown)
{
	unsigned int i;
	phys_addr_t at;

	for (i = 0; shown->pinned; i++) {
		const struct run *run = &shown->run[i];

		for (at = run->phys; at < run->phys + run->length && shown->pinned;
		     at = next_chunk(at), shown->pinned--)
			put_page(pfn_to_page(PHYS_PFN(at)));
		cond_resched();
	}
}

static void free_shown(struct shown *shown)
{
	unpin(shown);
	kvfree(shown->run);
	kfree(shown);
}

static struct sg_table *map_dma_buf(struct dma_buf_attachment *attachment,
				    enum dma_data_direction direction)
{
	const struct shown *shown = attachment->dmabuf->priv;
	struct scatterlist *entry;
	struct sg_table *table;
	unsigned int i;
	int err;

	if (direction != DMA_TO_DEVICE && !shown->writable)
		return ERR_PTR(-EACCES);
	table = kzalloc(sizeof(*table), GFP_KERNEL);
	if (!table)
		return ERR_PTR(-ENOMEM);
	err = sg_alloc_table(table, shown->count, GFP_KERNEL);
	if (err)
		goto free;
	for_each_sgtable_sg(table, entry, i)
		sg_set_page(entry, pfn_to_page(PHYS_PFN(shown->run[i].phys)),
			    shown->run[i].length, 0);
	err = dma_map_sgtable(attachment->dev, table, direction, 0);
	if (!err)
		return table;
	sg_free_table(table);
free:
	kfree(table);
	return ERR_PTR(err);
}

static void unmap_dma_buf(struct dma_buf_attachment *attachment, struct sg_table *table,
			  enum dma_data_direction direction)
{
	dma_unmap_sgtable(attachment->dev, table, direction, 0);
	sg_free_table(table);
	kfree(table);
}

static int vmap_dma_buf(struct dma_buf *buffer, struct iosys_map *map)
{
	const struct shown *shown = buffer->priv;
	unsigned long count = 0;
	struct page **pages;
	unsigned int i;
	void *mapped;
	u64 at;

	pages = kvmalloc_array(buffer->size >> PAGE_SHIFT, sizeof(*pages),
			       GFP_KERNEL | __GFP_NOWARN);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < shown->count; i++)
		for (at = 0; at < shown->run[i].length; at += PAGE_SIZE)
			pages[count++] = pfn_to_page(PHYS_PFN(shown->run[i].phys + at));
	mapped = vmap(pages, count, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	if (!mapped)
		return -ENOMEM;
	iosys_map_set_vaddr(map, mapped);
	return 0;
}

static void vunmap_dma_buf(struct dma_buf *buffer, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

static void release_dma_buf(struct dma_buf *buffer)
{
	free_shown(buffer->priv);
}

/*
 * No vmap, which has no direction: there are drivers that write to what they map so, and a write to
 * a read-only mapping would be the kernel's end.
 */
static const struct dma_buf_ops read_only_ops = {
	.map_dma_buf = map_dma_buf,
	.unmap_dma_buf = unmap_dma_buf,
	.release = release_dma_buf,
};

static const struct dma_buf_ops writable_ops = {
	.map_dma_buf = map_dma_buf,
	.unmap_dma_buf = unmap_dma_buf,
	.vmap = vmap_dma_buf,
	.vunmap = vunmap_dma_buf,
	.release = release_dma_buf,
};

/* The run of the image from @offset on, at most @length bytes, which are data. */
static int find_run(struct super_block *sb, u64 offset, u64 length, struct run *run)
{
	const struct daxfs_sb *sbi = daxfs_sb(sb);
	u64 at = 0;

	run->length = daxfs_place_at(&sbi->place, offset, min_t(u64, length, RUN_MAX), &at);
	run->phys = at;
	if (!run->length || run->length % PAGE_SIZE || at % PAGE_SIZE)
		return -EUCLEAN;
	if (daxfs_good_bytes(at, run->length) != run->length)
		return -EIO;
	return 0;
}

/* The same of a file: whole pages, also behind its end in the last one. */
static int find_file_run(struct inode *inode, u64 position, u64 length, struct run *run)
{
	struct daxfs_map map;
	const char *why;
	u64 skip, offset;
	int err;

	err = daxfs_failed(inode);
	if (err)
		return err;
	err = daxfs_map_at(daxfs_image(inode), &daxfs_node(inode)->attr, position, &map, &why);
	if (err) {
		daxfs_error(inode->i_sb, "inode %llu: %s", daxfs_node(inode)->attr.ino, why);
		return err;
	}
	if (map.hole)
		return -ENXIO;
	skip = position - map.logical;
	offset = map.offset + skip;
	length = min(length, round_up(map.length, PAGE_SIZE) - skip);
	err = find_run(inode->i_sb, offset, length, run);
	return err ? err : daxfs_verify_range(inode->i_sb, offset, offset + run->length);
}

/* Calls, run by run, of bytes @start to @end; counts them where @shown is NULL. */
static int find_runs(struct inode *inode, u64 start, u64 end, struct shown *shown,
		     unsigned int *count)
{
	unsigned int room = shown ? shown->count : UINT_MAX;
	struct run run;
	int err;

	for (*count = 0; start < end; start += run.length) {
		err = S_ISREG(inode->i_mode) ? find_file_run(inode, start, end - start, &run) :
					       find_run(inode->i_sb, start, end - start, &run);
		if (err)
			return err;
		if (*count == room)	/* the image changes meanwhile */
			return -EUCLEAN;
		if (*count == RUNS_MAX)
			return -EFBIG;
		if (shown)
			shown->run[*count] = run;
		++*count;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return shown && *count < room ? -EUCLEAN : 0;
}

static struct shown *show(struct inode *inode, u64 start, u64 end)
{
	const struct daxfs_info *info = &daxfs_image(inode)->info;
	struct shown *shown;
	unsigned int count;
	int err = 0;

	if (!S_ISREG(inode->i_mode))	/* of a file, run by run */
		err = daxfs_verify_range(inode->i_sb, max(start, info->data_offset),
					 min(end, info->meta_offset));
	if (!err)
		err = find_runs(inode, start, end, NULL, &count);
	if (err)
		return ERR_PTR(err);
	shown = kzalloc(sizeof(*shown), GFP_KERNEL);
	if (!shown)
		return ERR_PTR(-ENOMEM);
	err = -ENOMEM;
	shown->count = count;
	shown->run = kvmalloc_array(count, sizeof(*shown->run),
				    GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (shown->run)
		err = find_runs(inode, start, end, shown, &count);
	if (!err && !pin(shown))
		err = -EOVERFLOW;
	if (!err)
		return shown;
	free_shown(shown);
	return ERR_PTR(err);
}

/* What may be asked for at all, and by whom; @end is filled. */
static int check_request(const struct file *file, const struct daxfs_ioc_dma_buf *wanted, u64 *end)
{
	const struct inode *inode = file_inode(file);
	u64 size = i_size_read(inode);

	if (wanted->reserved || wanted->flags & ~(DAXFS_DMA_BUF_CLOEXEC | DAXFS_DMA_BUF_WRITABLE))
		return -EINVAL;
	if (daxfs_sb(inode->i_sb)->region->buffer)
		return -EOPNOTSUPP;	/* it is in a dma-buf already */
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	/* A device that writes would change what all others read; an image has others' files. */
	if (wanted->flags & DAXFS_DMA_BUF_WRITABLE && !capable(CAP_SYS_RAWIO))
		return -EPERM;
	if (S_ISDIR(inode->i_mode)) {
		if (inode->i_ino != DAXFS_ROOT_INO)
			return -EISDIR;
		if (!capable(CAP_SYS_ADMIN))
			return -EPERM;
		size = daxfs_image(inode)->info.image_size;
	}
	size = round_up(size, PAGE_SIZE);
	*end = size;
	if (wanted->length)
		*end = wanted->offset + wanted->length;
	if (wanted->offset % PAGE_SIZE || wanted->length % PAGE_SIZE || *end > size ||
	    wanted->offset >= *end)
		return -EINVAL;
	/* Holes, or bytes that are in it twice. */
	return *end - wanted->offset > daxfs_image(inode)->info.image_size ? -EFBIG : 0;
}

static long export_dma_buf(struct file *file, const struct daxfs_ioc_dma_buf *wanted)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *buffer;
	struct shown *shown;
	u64 end;
	int fd;

	fd = check_request(file, wanted, &end);
	if (fd)
		return fd;
	shown = show(file_inode(file), wanted->offset, end);
	if (IS_ERR(shown))
		return PTR_ERR(shown);
	shown->writable = wanted->flags & DAXFS_DMA_BUF_WRITABLE;
	info.ops = shown->writable ? &writable_ops : &read_only_ops;
	info.size = end - wanted->offset;
	info.flags = O_RDONLY;
	info.priv = shown;
	buffer = dma_buf_export(&info);
	if (IS_ERR(buffer)) {
		free_shown(shown);
		return PTR_ERR(buffer);
	}
	fd = dma_buf_fd(buffer, wanted->flags & DAXFS_DMA_BUF_CLOEXEC ? O_CLOEXEC : 0);
	if (fd < 0)
		dma_buf_put(buffer);
	return fd;
}

/** daxfs_ioctl() - file_operations.unlocked_ioctl of files and directories: daxfs/ioctl.h */
long daxfs_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct daxfs_ioc_dma_buf wanted;

	if (command != DAXFS_IOC_DMA_BUF)
		return -ENOTTY;
	if (copy_from_user(&wanted, (const void __user *)argument, sizeof(wanted)))
		return -EFAULT;
	return export_dma_buf(file, &wanted);
}
