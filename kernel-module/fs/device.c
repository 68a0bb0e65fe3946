// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/daxfs/NAME: a device of a pool for programs on a machine whose kernel holds the range.
 *
 * A mapping of it is of normal pages, inserted read-only; the first write to a page asks
 * ->page_mkwrite, which lets tables be written always, and a chunk only while its owner
 * word names a row that is being built by a slot whose life this open file is. So one
 * mapping of everything does for a program. Sealing takes a chunk's page lock around the
 * removal of its mappings; ->page_mkwrite returns with it, so no write slips in between.
 *
 * A slot's life is an open file of device 0. Files of other devices by which it writes keep
 * that one open, so it is dead when the last file has gone by which it could write.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "device.h"

#define WINDOW_PAGES	32UL	/* inserted by one fault; aligned */

/**
 * struct daxfs_device_file - an open file of it, which is a user of the pool's bank 0
 * @list: in the device's files
 * @device: that
 * @mapping: where its mappings are listed
 * @tables: not of bank 0: the open file of that which it keeps open
 * @lives: slot -> the incarnation this file is the life of, or @tables is
 * @sealed: row -> the generation that is sealed
 */
struct daxfs_device_file {
	struct list_head list;
	struct daxfs_device *device;
	struct address_space *mapping;
	struct file *tables;
	struct xarray lives;
	struct xarray sealed;
};

/* The pool's words: for whoever has a file open, which keeps bank 0. */
static const struct daxfs_pool *pool_of(const struct daxfs_device *device)
{
	return &device->bank->member->pool;
}

/* A pool made anew of the same memory has others' slots, by the same words. */
static bool is_same_pool(const struct daxfs_member *member)
{
	return daxfs_tables_good(member) &&
	       daxfs_pool_has_epoch(member->super, member->info.epoch);
}

static const struct daxfs_pool_device_info *info_of(const struct daxfs_device *device)
{
	return &device->bank->member->info.device[device->bank->index];
}

/* Where this host's partition begins; the others' are only to be read. */
static u64 own_partition(const struct daxfs_device *device)
{
	return pool_of(device)->partition * device->bank->member->info.partition_size;
}

/* A pool that may grow is larger on paper. */
static u64 device_size(const struct daxfs_device *device)
{
	return min(info_of(device)->size * device->bank->member->info.partition_count,
		   device->bank->region->size);
}

/* How many chunks of this host's partition on it have memory. */
static u32 chunks_there(const struct daxfs_device *device)
{
	const struct daxfs_pool_device_info *info = info_of(device);
	u64 bytes = device->bank->region->size - own_partition(device) - info->data_offset;

	return min_t(u64, info->chunk_count, bytes >> DAXFS_CHUNK_SHIFT);
}

static struct page *device_page(const struct daxfs_device *device, u64 at)
{
	return pfn_to_page(PHYS_PFN(device->bank->region->phys + at));
}

/** daxfs_device_put() - one name or open file less. Context: daxfs_pools_lock is held */
void daxfs_device_put(struct daxfs_device *device)
{
	if (!refcount_dec_and_test(&device->refs))
		return;
	list_del(&device->of_member);
	daxfs_bank_put(device->bank);
	kfree(device);
}

/* The owner word that says whose byte @at of the partition is; 0 for nobody's. */
static u64 owner_of(const struct daxfs_device *device, u64 at)
{
	const struct daxfs_pool_device_info *info = info_of(device);
	const struct daxfs_pool *pool = pool_of(device);
	u64 granule = (at - info->data_offset) >> DAXFS_GRANULE_SHIFT;
	u64 chunk = granule / DAXFS_CHUNK_GRANULES;
	u64 owner;

	if (chunk >= info->chunk_count)
		return 0;
	owner = daxfs_load(&pool->owners[info->first_chunk + chunk]);
	if (daxfs_owner_is_split(owner))
		owner = daxfs_load(&pool->granules[info->first_chunk * DAXFS_CHUNK_GRANULES +
						   granule]);
	return owner;
}

static bool may_write(struct daxfs_device_file *file, u64 at)
{
	const struct daxfs_pool *pool = pool_of(file->device);
	u64 owner, word, slot_word;
	void *life, *sealed;
	u32 row, slot;

	if (at < own_partition(file->device) || !daxfs_tables_good(file->device->bank->member))
		return false;
	at -= own_partition(file->device);
	if (at < info_of(file->device)->data_offset)
		return !file->device->bank->index;
	owner = owner_of(file->device, at);
	row = daxfs_reference_row(owner);
	if (!owner || row >= pool->row_count)
		return false;
	word = daxfs_load(&pool->rows[row]);
	slot = daxfs_word_slot(word);
	if (daxfs_word_state(word) != DAXFS_ROW_BUILDING || slot >= pool->slot_count ||
	    daxfs_word_generation(word) != daxfs_word_generation(owner))
		return false;
	sealed = xa_load(&file->sealed, row);
	if (sealed && xa_to_value(sealed) == daxfs_word_generation(owner))
		return false;
	slot_word = daxfs_load(&pool->slots[slot]);
	life = xa_load(&file->lives, slot);
	return life && daxfs_word_state(slot_word) == DAXFS_SLOT_ATTACHED &&
	       xa_to_value(life) == daxfs_word_generation(slot_word) &&
	       is_same_pool(file->device->bank->member);
}

static bool good_pages(const struct daxfs_device *device, pgoff_t first, unsigned long count)
{
	u64 length = (u64)count << PAGE_SHIFT;

	return daxfs_good_bytes(device->bank->region->phys + ((u64)first << PAGE_SHIFT),
				length) == length;
}

static vm_fault_t device_mkwrite(struct vm_fault *vmf)
{
	struct daxfs_device_file *file = vmf->vma->vm_file->private_data;

	if (!good_pages(file->device, vmf->pgoff, 1))
		return VM_FAULT_HWPOISON;
	lock_page(vmf->page);
	if (may_write(file, (u64)vmf->pgoff << PAGE_SHIFT))
		return VM_FAULT_LOCKED;
	unlock_page(vmf->page);
	return VM_FAULT_SIGBUS;
}

static vm_fault_t device_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct daxfs_device_file *file = vma->vm_file->private_data;
	pgoff_t first = max(round_down(vmf->pgoff, WINDOW_PAGES), vma->vm_pgoff);
	pgoff_t end = min3(round_down(vmf->pgoff, WINDOW_PAGES) + WINDOW_PAGES,
			   vma->vm_pgoff + vma_pages(vma),
			   (pgoff_t)(device_size(file->device) >> PAGE_SHIFT));
	struct page *pages[WINDOW_PAGES];
	pgoff_t pgoff;

	if (vmf->pgoff >= end)
		return VM_FAULT_SIGBUS;
	if (!good_pages(file->device, vmf->pgoff, 1))
		return VM_FAULT_HWPOISON;
	if (!good_pages(file->device, first, end - first)) {
		first = vmf->pgoff;
		end = first + 1;
	}
	if ((vmf->flags & FAULT_FLAG_WRITE) && !(vma->vm_flags & VM_SHARED)) {
		vmf->page = device_page(file->device, (u64)vmf->pgoff << PAGE_SHIFT);
		get_page(vmf->page);
		return 0;
	}
	for (pgoff = first; pgoff < end; pgoff++)
		pages[pgoff - first] = device_page(file->device, (u64)pgoff << PAGE_SHIFT);
	return daxfs_insert_pages(vmf, first, pages, end - first);
}

static const struct vm_operations_struct device_vm_operations = {
	.fault = device_fault,
	.page_mkwrite = device_mkwrite,
};

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &device_vm_operations;
	daxfs_small_mapping(vma);
	vm_flags_set(vma, VM_DONTEXPAND);
	return 0;
}

static loff_t device_llseek(struct file *file, loff_t offset, int whence)
{
	struct daxfs_device_file *opened = file->private_data;

	return fixed_size_llseek(file, offset, whence, device_size(opened->device));
}

/*
 * The node is there, so the device is; it stays as long as the file is open, and so does bank 0:
 * what may be written is in its tables. All nodes of misc wait for this one, so it takes no lock
 * that is held long.
 */
static int device_open(struct inode *inode, struct file *file)
{
	struct daxfs_device *device =
		container_of(file->private_data, struct daxfs_device, misc);
	struct daxfs_device_file *opened = kzalloc(sizeof(*opened), GFP_KERNEL);

	if (!opened)
		return -ENOMEM;
	if (!daxfs_bank_hold(&device->bank->member->bank[0])) {
		kfree(opened);
		return -ENXIO;
	}
	refcount_inc(&device->refs);
	opened->device = device;
	opened->mapping = file->f_mapping;
	xa_init(&opened->lives);
	xa_init(&opened->sealed);
	file->private_data = opened;
	mutex_lock(&device->lock);
	list_add(&opened->list, &device->files);
	mutex_unlock(&device->lock);
	return 0;
}

/* Its end is the end of the lives it stood for; others sweep what they left. */
static int device_release(struct inode *inode, struct file *file)
{
	struct daxfs_device_file *opened = file->private_data;
	struct daxfs_device *device = opened->device;
	struct daxfs_member *member = device->bank->member;
	unsigned long slot;
	void *life;

	mutex_lock(&daxfs_pools_lock);
	mutex_lock(&device->lock);
	list_del(&opened->list);
	mutex_unlock(&device->lock);
	if (!opened->tables && is_same_pool(member))
		xa_for_each(&opened->lives, slot, life)
			daxfs_mark_dead(&member->pool, slot,
					daxfs_word_make(DAXFS_SLOT_ATTACHED, member->host,
							xa_to_value(life)));
	daxfs_bank_put(&member->bank[0]);	/* the device's own bank keeps the member */
	daxfs_device_put(device);
	mutex_unlock(&daxfs_pools_lock);
	if (opened->tables)
		fput(opened->tables);
	xa_destroy(&opened->lives);
	xa_destroy(&opened->sealed);
	kfree(opened);
	return 0;
}

static bool is_life(struct daxfs_device_file *opened, u32 slot, u64 incarnation)
{
	void *life = xa_load(&opened->lives, slot);

	return life && xa_to_value(life) == incarnation;
}

static int keep_life(struct daxfs_device_file *opened, u32 slot, u64 incarnation)
{
	return xa_err(xa_store(&opened->lives, slot, xa_mk_value(incarnation), GFP_KERNEL));
}

static int begin_life(struct daxfs_device_file *opened, const struct daxfs_ioc_slot *wanted)
{
	struct daxfs_member *member = opened->device->bank->member;
	u64 incarnation = daxfs_word_generation(wanted->word);
	struct daxfs_device_file *other;
	struct daxfs_device *device;
	bool taken = false;

	if (opened->device->bank->index || wanted->slot >= member->pool.slot_count)
		return -EINVAL;
	if (daxfs_member_fenced(member))
		return -ESTALE;
	if (wanted->word != daxfs_word_make(DAXFS_SLOT_ATTACHED, member->host, incarnation))
		return -EPERM;	/* of another host, or a kernel's */
	if (daxfs_load(&member->pool.slots[wanted->slot]) != wanted->word)
		return -ESTALE;
	list_for_each_entry(device, &member->devices, of_member) {
		mutex_lock(&device->lock);
		list_for_each_entry(other, &device->files, list)
			taken |= is_life(other, wanted->slot, incarnation);
		mutex_unlock(&device->lock);
	}
	return taken ? -EBUSY : keep_life(opened, wanted->slot, incarnation);
}

/* A file of another bank shares the life that @tables is already. */
static int share_life(struct daxfs_device_file *opened, struct file *tables,
		      const struct daxfs_ioc_slot *wanted)
{
	u64 incarnation = daxfs_word_generation(wanted->word);
	struct daxfs_bank *bank = opened->device->bank;
	struct daxfs_device_file *life = tables->private_data;

	if (!bank->index || tables->f_op != &daxfs_device_operations ||
	    life->device->bank != &bank->member->bank[0])
		return -EINVAL;
	if (!is_life(life, wanted->slot, incarnation))
		return -EPERM;
	if (opened->tables && opened->tables != tables)
		return -EBUSY;
	if (!opened->tables)
		opened->tables = get_file(tables);
	return keep_life(opened, wanted->slot, incarnation);
}

static int take_life(struct file *file, const struct daxfs_ioc_slot *wanted)
{
	struct file *tables = fget(wanted->tables);
	int err;

	if (!tables)
		return -EBADF;
	mutex_lock(&daxfs_pools_lock);
	if (tables == file)
		err = begin_life(file->private_data, wanted);
	else
		err = share_life(file->private_data, tables, wanted);
	mutex_unlock(&daxfs_pools_lock);
	fput(tables);
	return err;
}

/* Removes all mappings of [at, at + length), which lies in one chunk; readers come again. */
static void unmap_locked(struct daxfs_device_file *opened, u64 at, u64 length)
{
	struct page *page = device_page(opened->device, at);

	lock_page(page);
	unmap_mapping_range(opened->mapping, at, length, 0);
	unlock_page(page);
}

/* @index: which of the device's chunks. */
static void seal_chunk(struct daxfs_device_file *opened, u32 index, u64 owner)
{
	const struct daxfs_pool_device_info *info = info_of(opened->device);
	const struct daxfs_pool *pool = pool_of(opened->device);
	u64 at = own_partition(opened->device) + info->data_offset +
		 ((u64)index << DAXFS_CHUNK_SHIFT);
	u32 chunk = info->first_chunk + index;
	u64 word = daxfs_load(&pool->owners[chunk]);
	u32 i;

	if (word == owner)
		unmap_locked(opened, at, DAXFS_CHUNK_SIZE);
	if (!daxfs_owner_is_split(word))
		return;
	for (i = 0; i < DAXFS_CHUNK_GRANULES; i++)
		if (daxfs_load(&pool->granules[chunk * DAXFS_CHUNK_GRANULES + i]) == owner)
			unmap_locked(opened, at + ((u64)i << DAXFS_GRANULE_SHIFT),
				     DAXFS_GRANULE_SIZE);
}

static int seal_row(struct daxfs_device_file *opened, const struct daxfs_ioc_seal *wanted)
{
	const struct daxfs_pool *pool = pool_of(opened->device);
	u64 owner = daxfs_reference(wanted->row, wanted->generation);
	u32 chunks = chunks_there(opened->device);
	int err;
	u32 i;

	if (wanted->reserved || wanted->row >= pool->row_count ||
	    wanted->generation > DAXFS_GENERATION_MASK)
		return -EINVAL;
	err = xa_err(xa_store(&opened->sealed, wanted->row, xa_mk_value(wanted->generation),
			      GFP_KERNEL));
	for (i = 0; !err && i < chunks; i++) {
		seal_chunk(opened, i, owner);
		cond_resched();
	}
	return err;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *from = (void __user *)argument;
	struct daxfs_ioc_slot slot;
	struct daxfs_ioc_seal seal;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	switch (command) {
	case DAXFS_IOC_SLOT:
		if (copy_from_user(&slot, from, sizeof(slot)))
			return -EFAULT;
		return take_life(file, &slot);
	case DAXFS_IOC_SEAL:
		if (copy_from_user(&seal, from, sizeof(seal)))
			return -EFAULT;
		return seal_row(file->private_data, &seal);
	}
	return -ENOTTY;
}

const struct file_operations daxfs_device_operations = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.llseek = device_llseek,
	.mmap = device_mmap,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/**
 * daxfs_devices_unmap() - programs' mappings of a chunk go; who still wants it faults again
 * @member: the pool
 * @phys: where the chunk is
 *
 * What is referenced behind that is pinned. Context: daxfs_pools_lock is held.
 */
void daxfs_devices_unmap(struct daxfs_member *member, phys_addr_t phys)
{
	struct daxfs_device_file *opened;
	struct daxfs_device *device;

	list_for_each_entry(device, &member->devices, of_member) {
		const struct daxfs_region *region = device->bank->region;

		if (phys < region->phys || phys - region->phys >= region->size)
			continue;
		mutex_lock(&device->lock);
		list_for_each_entry(opened, &device->files, list)
			unmap_mapping_range(opened->mapping, phys - region->phys,
					    DAXFS_CHUNK_SIZE, 0);
		mutex_unlock(&device->lock);
	}
}
