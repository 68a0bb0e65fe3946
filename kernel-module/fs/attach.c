// SPDX-License-Identifier: GPL-2.0-only
/* Attached ranges: their names, /dev/daxfs/control, and what is attached at load. */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/ctype.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "device.h"

#define CONTROL		"control"

static LIST_HEAD(devices);
static DEFINE_MUTEX(devices_lock); /* the list; taken before daxfs_pools_lock */

static struct daxfs_device *device_named(const char *name)
{
	struct daxfs_device *device;

	list_for_each_entry(device, &devices, list)
		if (!strcmp(device->name, name))
			return device;
	return NULL;
}

/**
 * daxfs_device_range() - what the name of an attached range stands for
 * @name: without pool:
 * @phys: filled
 * @size: filled
 * Return: 0; -ENODEV.
 */
int daxfs_device_range(const char *name, phys_addr_t *phys, u64 *size)
{
	const struct daxfs_device *device;

	mutex_lock(&devices_lock);
	device = device_named(name);
	if (device) {
		*phys = device->bank->region->phys;
		*size = device->bank->region->size;
	}
	mutex_unlock(&devices_lock);
	return device ? 0 : -ENODEV;
}

static bool good_name(const char *name)
{
	size_t length = strnlen(name, DAXFS_DEVICE_NAME_SIZE);
	size_t i;

	if (!length || length == DAXFS_DEVICE_NAME_SIZE || name[0] == '.' ||
	    !strcmp(name, CONTROL))
		return false;
	for (i = 0; i < length; i++)
		if (!isalnum(name[i]) && !strchr("._-", name[i]))
			return false;
	return true;
}

/* What a range is of a pool, on behalf of a device. */
static struct daxfs_bank *take_range(const struct daxfs_ioc_attach *wanted)
{
	const struct daxfs_member *member;
	struct daxfs_region *region;
	struct daxfs_bank *bank;
	const char *why;

	region = daxfs_region_get(wanted->phys, wanted->size, &why);
	if (IS_ERR(region)) {
		pr_err("attach %s: phys=0x%llx,size=%llu: %s\n", wanted->name, wanted->phys,
		       wanted->size, why);
		return ERR_CAST(region);
	}
	mutex_lock(&daxfs_pools_lock);
	bank = daxfs_bank_get(NULL, region);
	member = IS_ERR(bank) ? NULL : bank->member;
	if (member && !member->bank[0].region)
		pr_info("%s: device %pUb of pool %pUb waits for %pUb, which has the tables\n",
			wanted->name, member->info.device[bank->index].uuid, member->info.uuid,
			member->info.device[0].uuid);
	mutex_unlock(&daxfs_pools_lock);
	daxfs_region_put(region);
	return bank;
}

static void put_name(struct daxfs_device *device)
{
	mutex_lock(&daxfs_pools_lock);
	daxfs_device_put(device);
	mutex_unlock(&daxfs_pools_lock);
}

static int create_device(const struct daxfs_ioc_attach *wanted)
{
	struct daxfs_device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	int err;

	if (!device)
		return -ENOMEM;
	device->bank = take_range(wanted);
	if (IS_ERR(device->bank)) {
		err = PTR_ERR(device->bank);
		kfree(device);
		return err;
	}
	refcount_set(&device->refs, 1);
	mutex_init(&device->lock);
	INIT_LIST_HEAD(&device->files);
	mutex_lock(&daxfs_pools_lock);
	list_add(&device->of_member, &device->bank->member->devices);
	mutex_unlock(&daxfs_pools_lock);
	strscpy(device->name, wanted->name, sizeof(device->name));
	scnprintf(device->node, sizeof(device->node), "daxfs/%s", device->name);
	device->misc.minor = MISC_DYNAMIC_MINOR;
	device->misc.name = device->node;
	device->misc.nodename = device->node;
	device->misc.fops = &daxfs_device_operations;
	device->misc.mode = 0660;
	err = misc_register(&device->misc);
	if (err)
		put_name(device);
	else
		list_add(&device->list, &devices);
	return err;
}

static int attach(const struct daxfs_ioc_attach *wanted)
{
	int err = -EEXIST;

	if (!good_name(wanted->name) || wanted->phys % DAXFS_CHUNK_SIZE ||
	    wanted->size % DAXFS_CHUNK_SIZE || !wanted->size || wanted->size > DAXFS_SIZE_MAX ||
	    wanted->phys > DAXFS_SIZE_MAX - wanted->size)
		return -EINVAL;
	mutex_lock(&devices_lock);
	if (!device_named(wanted->name))
		err = create_device(wanted);
	mutex_unlock(&devices_lock);
	return err;
}

static void remove_device(struct daxfs_device *device)
{
	list_del(&device->list);
	misc_deregister(&device->misc);
	put_name(device);
}

static int detach(const struct daxfs_ioc_detach *wanted)
{
	struct daxfs_device *device = NULL;

	mutex_lock(&devices_lock);
	if (good_name(wanted->name))
		device = device_named(wanted->name);
	if (device)
		remove_device(device);
	mutex_unlock(&devices_lock);
	return device ? 0 : -ENODEV;
}

static long control_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *from = (void __user *)argument;
	struct daxfs_ioc_attach one;
	struct daxfs_ioc_detach other;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	switch (command) {
	case DAXFS_IOC_ATTACH:
		if (copy_from_user(&one, from, sizeof(one)))
			return -EFAULT;
		return attach(&one);
	case DAXFS_IOC_DETACH:
		if (copy_from_user(&other, from, sizeof(other)))
			return -EFAULT;
		return detach(&other);
	}
	return -ENOTTY;
}

static const struct file_operations control_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "daxfs/" CONTROL,
	.nodename = "daxfs/" CONTROL,
	.fops = &control_operations,
	.mode = 0600,
};

static char *attach_at_load;
module_param_named(attach, attach_at_load, charp, 0444);
MODULE_PARM_DESC(attach, "ranges to attach at load: NAME,PHYS,SIZE[:NAME,PHYS,SIZE...]");

static int parse_attach(const char *text, struct daxfs_ioc_attach *wanted)
{
	const char *comma = strchr(text, ',');
	char *end;

	memset(wanted, 0, sizeof(*wanted));
	if (!comma || comma - text >= sizeof(wanted->name))
		return -EINVAL;
	memcpy(wanted->name, text, comma - text);
	wanted->phys = memparse(comma + 1, &end);
	if (*end != ',')
		return -EINVAL;
	wanted->size = memparse(end + 1, &end);
	return *end ? -EINVAL : 0;
}

/* One that cannot be attached keeps no other from it: the module is there to try again. */
static void attach_all(char *ranges)
{
	struct daxfs_ioc_attach wanted;
	char *range;
	int err;

	while ((range = strsep(&ranges, ":;"))) {
		err = parse_attach(range, &wanted);
		if (!err)
			err = attach(&wanted);
		if (err)
			pr_err("attach=%s: not attached, error %d\n", range, -err);
	}
}

/** daxfs_devices_init() - at module load. Return: 0; a range that cannot be attached is logged */
int daxfs_devices_init(void)
{
	char *ranges;
	int err = misc_register(&control);

	if (err || !attach_at_load)
		return err;
	ranges = kstrdup(attach_at_load, GFP_KERNEL);
	if (!ranges) {
		misc_deregister(&control);
		return -ENOMEM;
	}
	attach_all(ranges);
	kfree(ranges);
	return 0;
}

/** daxfs_devices_exit() - at module unload; nothing is open */
void daxfs_devices_exit(void)
{
	struct daxfs_device *device, *next;

	misc_deregister(&control);
	list_for_each_entry_safe(device, next, &devices, list)
		remove_device(device);
}
