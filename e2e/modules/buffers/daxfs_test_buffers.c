// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test only: the other side of dma-bufs. /dev/daxfs_test_buffers makes dma-bufs of ordinary pages,
 * for kernels without heaps, and imports dma-bufs as a device's driver does: read() then gives the
 * bytes at the addresses that the device was told.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

struct import_request {
	__s32 fd;
	__u32 how;
};

#define BUFFERS_EXPORT	_IOW('B', 1, __u64)			/* bytes; returns a descriptor */
#define BUFFERS_IMPORT	_IOW('B', 2, struct import_request)	/* once an open file */

enum { TO_DEVICE, BOTH_WAYS, BY_KERNEL };	/* import_request.how */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define dma_buf_vmap_unlocked dma_buf_vmap
#define dma_buf_vunmap_unlocked dma_buf_vunmap
#define dma_buf_map_attachment_unlocked dma_buf_map_attachment
#define dma_buf_unmap_attachment_unlocked dma_buf_unmap_attachment
#endif

static struct platform_device *device;

/* Pages of a dma-buf made here. */
struct pages {
	unsigned long count;
	struct page *page[];
};

static void free_pages_of(struct pages *pages)
{
	while (pages->count)
		put_page(pages->page[--pages->count]);
	kvfree(pages);
}

static struct sg_table *export_map(struct dma_buf_attachment *attachment,
				   enum dma_data_direction direction)
{
	struct pages *pages = attachment->dmabuf->priv;
	struct sg_table *table = kzalloc(sizeof(*table), GFP_KERNEL);
	int err = -ENOMEM;

	if (!table)
		return ERR_PTR(err);
	err = sg_alloc_table_from_pages(table, pages->page, pages->count, 0,
					pages->count << PAGE_SHIFT, GFP_KERNEL);
	if (!err) {
		err = dma_map_sgtable(attachment->dev, table, direction, 0);
		if (!err)
			return table;
		sg_free_table(table);
	}
	kfree(table);
	return ERR_PTR(err);
}

static void export_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
			 enum dma_data_direction direction)
{
	dma_unmap_sgtable(attachment->dev, table, direction, 0);
	sg_free_table(table);
	kfree(table);
}

static int export_vmap(struct dma_buf *buffer, struct iosys_map *map)
{
	struct pages *pages = buffer->priv;
	void *mapped = vmap(pages->page, pages->count, VM_MAP, PAGE_KERNEL);

	if (!mapped)
		return -ENOMEM;
	iosys_map_set_vaddr(map, mapped);
	return 0;
}

static void export_vunmap(struct dma_buf *buffer, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

static int export_mmap(struct dma_buf *buffer, struct vm_area_struct *vma)
{
	struct pages *pages = buffer->priv;

	return vm_map_pages(vma, pages->page, pages->count);
}

static void export_release(struct dma_buf *buffer)
{
	free_pages_of(buffer->priv);
}

static const struct dma_buf_ops export_ops = {
	.map_dma_buf = export_map,
	.unmap_dma_buf = export_unmap,
	.vmap = export_vmap,
	.vunmap = export_vunmap,
	.mmap = export_mmap,
	.release = export_release,
};

static long export_pages(u64 size)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	unsigned long wanted = DIV_ROUND_UP_ULL(size, PAGE_SIZE);
	struct dma_buf *buffer;
	struct pages *pages;
	int fd;

	if (!size || size > SZ_1G)
		return -EINVAL;
	pages = kvzalloc(struct_size(pages, page, wanted), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (; pages->count < wanted; pages->count++) {
		pages->page[pages->count] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!pages->page[pages->count]) {
			free_pages_of(pages);
			return -ENOMEM;
		}
	}
	info.ops = &export_ops;
	info.size = wanted << PAGE_SHIFT;
	info.flags = O_RDWR;
	info.priv = pages;
	buffer = dma_buf_export(&info);
	if (IS_ERR(buffer)) {
		free_pages_of(pages);
		return PTR_ERR(buffer);
	}
	fd = dma_buf_fd(buffer, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(buffer);
	return fd;
}

/* What an open file has imported. */
struct import {
	struct dma_buf *buffer;
	struct dma_buf_attachment *attachment;
	struct sg_table *table;
	enum dma_data_direction direction;
	struct iosys_map map;
};

static void import_end(struct import *import)
{
	if (import->table)
		dma_buf_unmap_attachment_unlocked(import->attachment, import->table,
						  import->direction);
	if (import->attachment)
		dma_buf_detach(import->buffer, import->attachment);
	if (!iosys_map_is_null(&import->map))
		dma_buf_vunmap_unlocked(import->buffer, &import->map);
	dma_buf_put(import->buffer);
	kfree(import);
}

static int import_device(struct import *import)
{
	struct dma_buf_attachment *attachment = dma_buf_attach(import->buffer, &device->dev);
	struct sg_table *table;

	if (IS_ERR(attachment))
		return PTR_ERR(attachment);
	import->attachment = attachment;
	table = dma_buf_map_attachment_unlocked(attachment, import->direction);
	if (IS_ERR(table))
		return PTR_ERR(table);
	import->table = table;
	return 0;
}

static long import_buffer(struct file *file, const struct import_request *request)
{
	struct import *import;
	int err;

	if (file->private_data)
		return -EBUSY;
	import = kzalloc(sizeof(*import), GFP_KERNEL);
	if (!import)
		return -ENOMEM;
	import->buffer = dma_buf_get(request->fd);
	if (IS_ERR(import->buffer)) {
		err = PTR_ERR(import->buffer);
		kfree(import);
		return err;
	}
	import->direction = request->how == BOTH_WAYS ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
	err = request->how == BY_KERNEL ? dma_buf_vmap_unlocked(import->buffer, &import->map) :
					  import_device(import);
	if (err)
		import_end(import);
	else
		file->private_data = import;
	return err;
}

/* Where the byte at @position is for the device, and how many are side by side from there on. */
static const void *device_bytes(const struct import *import, u64 position, u64 *length)
{
	struct scatterlist *entry;
	unsigned int i;

	if (!import->table) {
		*length = position < import->buffer->size ? import->buffer->size - position : 0;
		return import->map.vaddr + position;
	}
	for_each_sgtable_dma_sg(import->table, entry, i) {
		if (position < sg_dma_len(entry)) {
			*length = sg_dma_len(entry) - position;
			return phys_to_virt(sg_dma_address(entry) + position);	/* no IOMMU here */
		}
		position -= sg_dma_len(entry);
	}
	*length = 0;
	return NULL;
}

static ssize_t buffers_read(struct file *file, char __user *to, size_t size, loff_t *position)
{
	const struct import *import = file->private_data;
	const void *bytes;
	u64 length;

	if (!import)
		return -ENODATA;
	bytes = device_bytes(import, *position, &length);
	/* No further than a page: hardened user copies look at what it belongs to. */
	length = min3(length, (u64)size, (u64)PAGE_SIZE - offset_in_page(bytes));
	if (copy_to_user(to, bytes, length))
		return -EFAULT;
	*position += length;
	return length;
}

static long buffers_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct import_request request;
	u64 size;

	switch (command) {
	case BUFFERS_EXPORT:
		if (copy_from_user(&size, (void __user *)argument, sizeof(size)))
			return -EFAULT;
		return export_pages(size);
	case BUFFERS_IMPORT:
		if (copy_from_user(&request, (void __user *)argument, sizeof(request)))
			return -EFAULT;
		return import_buffer(file, &request);
	}
	return -ENOTTY;
}

static int buffers_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		import_end(file->private_data);
	return 0;
}

static int buffers_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;	/* misc_open() leaves the device there */
	return 0;
}

static const struct file_operations buffers_operations = {
	.owner = THIS_MODULE,
	.open = buffers_open,
	.release = buffers_release,
	.read = buffers_read,
	.unlocked_ioctl = buffers_ioctl,
};

static struct miscdevice buffers_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "daxfs_test_buffers",
	.fops = &buffers_operations,
};

static int __init buffers_init(void)
{
	int err;

	device = platform_device_register_simple("daxfs_test_buffers", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(device))
		return PTR_ERR(device);
	err = dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64));
	if (!err)
		err = misc_register(&buffers_device);
	if (err)
		platform_device_unregister(device);
	return err;
}

static void __exit buffers_exit(void)
{
	misc_deregister(&buffers_device);
	platform_device_unregister(device);
}

module_init(buffers_init);
module_exit(buffers_exit);
MODULE_DESCRIPTION("daxfs test: makes and imports dma-bufs");
MODULE_LICENSE("GPL");
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS(DMA_BUF);
#else
MODULE_IMPORT_NS("DMA_BUF");
#endif
