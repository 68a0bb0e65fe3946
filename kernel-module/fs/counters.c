// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happened in a region, for whoever watches: /sys/fs/daxfs/0xPHYS/, or dma-buf-NUMBER/.
 * Each file has one number. They begin when the region is claimed and end when it is given back.
 */
#include <linux/dma-buf.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "internal.h"

static struct kobject *daxfs_kobject;

struct counter_attribute {
	struct attribute attr;
	u64 (*value)(const struct daxfs_region *region, enum daxfs_counter counter);
	enum daxfs_counter counter;
};

static u64 counted(const struct daxfs_region *region, enum daxfs_counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(region->counts, cpu)->of[counter];
	return sum;
}

static u64 size_of(const struct daxfs_region *region, enum daxfs_counter counter)
{
	return region->size;
}

static u64 users_of(const struct daxfs_region *region, enum daxfs_counter counter)
{
	return READ_ONCE(region->users);
}

static u64 bad_pages_of(const struct daxfs_region *region, enum daxfs_counter counter)
{
	return region->buffer ? 0 : daxfs_bad_pages(region->phys, region->size);
}

#define ATTRIBUTE(_name, _value, _counter)					\
	static struct counter_attribute _name##_attribute = {			\
		.attr = { .name = #_name, .mode = 0444 },			\
		.value = _value,						\
		.counter = _counter,						\
	}

ATTRIBUTE(size, size_of, 0);
ATTRIBUTE(users, users_of, 0);
ATTRIBUTE(bad_pages, bad_pages_of, 0);
ATTRIBUTE(reads, counted, DAXFS_READS);
ATTRIBUTE(read_bytes, counted, DAXFS_READ_BYTES);
ATTRIBUTE(huge_faults, counted, DAXFS_HUGE_FAULTS);
ATTRIBUTE(window_faults, counted, DAXFS_WINDOW_FAULTS);
ATTRIBUTE(window_pages, counted, DAXFS_WINDOW_PAGES);
ATTRIBUTE(copy_faults, counted, DAXFS_COPY_FAULTS);
ATTRIBUTE(hole_faults, counted, DAXFS_HOLE_FAULTS);
ATTRIBUTE(refused_faults, counted, DAXFS_REFUSED_FAULTS);
ATTRIBUTE(corruptions, counted, DAXFS_CORRUPTIONS);
ATTRIBUTE(memory_failures, counted, DAXFS_MEMORY_FAILURES);
ATTRIBUTE(verified_pieces, counted, DAXFS_VERIFIED_PIECES);

static struct attribute *region_attrs[] = {
	&size_attribute.attr,
	&users_attribute.attr,
	&bad_pages_attribute.attr,
	&reads_attribute.attr,
	&read_bytes_attribute.attr,
	&huge_faults_attribute.attr,
	&window_faults_attribute.attr,
	&window_pages_attribute.attr,
	&copy_faults_attribute.attr,
	&hole_faults_attribute.attr,
	&refused_faults_attribute.attr,
	&corruptions_attribute.attr,
	&memory_failures_attribute.attr,
	&verified_pieces_attribute.attr,
	NULL
};
ATTRIBUTE_GROUPS(region);

static ssize_t region_show(struct kobject *kobject, struct attribute *attr, char *buffer)
{
	const struct daxfs_region *region = container_of(kobject, struct daxfs_region, kobject);
	const struct counter_attribute *shown =
		container_of(attr, struct counter_attribute, attr);

	return sysfs_emit(buffer, "%llu\n", shown->value(region, shown->counter));
}

static void region_release(struct kobject *kobject)
{
	struct daxfs_region *region = container_of(kobject, struct daxfs_region, kobject);

	free_percpu(region->counts);
	kfree(region);
}

static const struct sysfs_ops region_sysfs_ops = {
	.show = region_show,
};

static const struct kobj_type region_type = {
	.release = region_release,
	.sysfs_ops = &region_sysfs_ops,
	.default_groups = region_groups,
};

/**
 * daxfs_region_alloc() - a region in memory, which is not shown yet
 * Return: all zero but its counters; NULL without memory. daxfs_region_free() frees it.
 */
struct daxfs_region *daxfs_region_alloc(void)
{
	struct daxfs_region *region = kzalloc(sizeof(*region), GFP_KERNEL);

	if (!region)
		return NULL;
	kobject_init(&region->kobject, &region_type);
	region->counts = alloc_percpu(struct daxfs_counts);
	if (region->counts)
		return region;
	daxfs_region_free(region);
	return NULL;
}

/** daxfs_region_show() - from now on it is in sysfs; until daxfs_region_free() */
int daxfs_region_show(struct daxfs_region *region)
{
	if (region->buffer)
		return kobject_add(&region->kobject, daxfs_kobject, "dma-buf-%lu",
				   (unsigned long)file_inode(region->buffer->file)->i_ino);
	return kobject_add(&region->kobject, daxfs_kobject, "0x%llx", (u64)region->phys);
}

/** daxfs_region_free() - what shows it is waited for */
void daxfs_region_free(struct daxfs_region *region)
{
	if (region->kobject.state_in_sysfs)
		kobject_del(&region->kobject);
	kobject_put(&region->kobject);
}

/** daxfs_counters_init() - at module load */
int daxfs_counters_init(void)
{
	daxfs_kobject = kobject_create_and_add("daxfs", fs_kobj);
	return daxfs_kobject ? 0 : -ENOMEM;
}

/** daxfs_counters_exit() - at module unload */
void daxfs_counters_exit(void)
{
	kobject_put(daxfs_kobject);
}
