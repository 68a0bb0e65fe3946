// SPDX-License-Identifier: GPL-2.0-only
/* Superblock: mount options, the image's life, statfs, module entry and exit. */
#define pr_fmt(fmt) "daxfs: " fmt

#include <linux/dma-buf.h>
#include <linux/fdtable.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "daxfs/magic.h"
#include "internal.h"
#include "pools.h"
#include "trace.h"

/* What mount options ask for, before there is a superblock; fc->fs_private. */
struct daxfs_options {
	phys_addr_t phys;
	u64 size;
	char *image;
	char *name;
	struct dma_buf *buffer;
	enum daxfs_verify verify;
	bool phys_given;
};

#define POOL_PREFIX	"pool:"

enum { OPT_PHYS, OPT_SIZE, OPT_IMAGE, OPT_DMABUF, OPT_NAME, OPT_VERIFY };

static const struct constant_table verify_names[] = {
	{ "none", DAXFS_VERIFY_NONE },
	{ "meta", DAXFS_VERIFY_META },
	{ "lazy", DAXFS_VERIFY_LAZY },
	{ "full", DAXFS_VERIFY_FULL },
	{}
};

static const struct fs_parameter_spec daxfs_parameters[] = {
	fsparam_string("phys", OPT_PHYS),
	fsparam_string("size", OPT_SIZE),
	fsparam_string("image", OPT_IMAGE),
	fsparam_fd("dmabuf", OPT_DMABUF),
	fsparam_string("name", OPT_NAME),
	fsparam_enum("verify", OPT_VERIFY, verify_names),
	{}
};

/* Decimal or 0x hexadecimal with an optional K, M, G, T; nothing behind it. */
static int parse_bytes(struct fs_context *fc, const struct fs_parameter *param, u64 *bytes)
{
	char *end;

	if (!isdigit(param->string[0]))
		return invalf(fc, "daxfs: %s=%s: not a number", param->key, param->string);
	*bytes = memparse(param->string, &end);
	if (*end)
		return invalf(fc, "daxfs: %s=%s: not a number", param->key, param->string);
	return 0;
}

static int is_file(const void *wanted, struct file *file, unsigned int fd)
{
	return file == wanted ? fd + 1 : 0;
}

/* fsconfig() gives the open file, and only newer kernels the number that dma_buf_get() wants. */
static int take_buffer(struct fs_context *fc, const struct fs_parameter *param, int fd)
{
	struct daxfs_options *options = fc->fs_private;
	struct dma_buf *buffer;

	if (param->type == fs_value_is_file)
		fd = iterate_fd(current->files, 0, is_file, param->file) - 1;
	buffer = dma_buf_get(fd);
	if (IS_ERR(buffer)) {
		errorf(fc, "daxfs: dmabuf: descriptor %d is no dma-buf", fd);
		return PTR_ERR(buffer);
	}
	if (options->buffer)
		dma_buf_put(options->buffer);
	options->buffer = buffer;
	return 0;
}

static int daxfs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct daxfs_options *options = fc->fs_private;
	struct fs_parse_result result;
	u64 bytes;
	int opt, err;

	opt = fs_parse(fc, daxfs_parameters, param, &result);
	if (opt < 0)
		return opt;
	switch (opt) {
	case OPT_IMAGE:
		swap(options->image, param->string);	/* the caller frees the other one */
		return 0;
	case OPT_NAME:
		swap(options->name, param->string);
		return 0;
	case OPT_DMABUF:
		return take_buffer(fc, param, result.uint_32);
	case OPT_VERIFY:
		options->verify = result.uint_32;
		return 0;
	}
	err = parse_bytes(fc, param, &bytes);
	if (err)
		return err;
	switch (opt) {
	case OPT_PHYS:
		if (bytes % DAXFS_CHUNK_SIZE)
			return invalf(fc, "daxfs: phys=%s: not a multiple of 2 MiB", param->string);
		options->phys = bytes;
		options->phys_given = true;
		return 0;
	case OPT_SIZE:
		if (!bytes || bytes > DAXFS_SIZE_MAX - DAXFS_CHUNK_SIZE)
			return invalf(fc, "daxfs: size=%s: out of range", param->string);
		options->size = round_up(bytes, DAXFS_CHUNK_SIZE);
		return 0;
	}
	return -EINVAL;
}

static int daxfs_statfs(struct dentry *dentry, struct kstatfs *stat)
{
	const struct daxfs_info *info = &daxfs_sb(dentry->d_sb)->image.info;

	stat->f_type = DAXFS_SUPER_MAGIC;
	stat->f_bsize = DAXFS_BLOCK_SIZE;
	stat->f_blocks = info->image_size >> DAXFS_BLOCK_SHIFT;
	stat->f_files = info->section[DAXFS_SECTION_INODES].count;
	stat->f_namelen = DAXFS_NAME_MAX;
	stat->f_fsid = uuid_to_fsid((__u8 *)info->uuid);
	return 0;
}

static int daxfs_show_options(struct seq_file *seq, struct dentry *root)
{
	const struct daxfs_sb *sbi = daxfs_sb(root->d_sb);

	if (!sbi->region->buffer)
		seq_printf(seq, ",phys=0x%llx,size=%llu", (u64)sbi->region->phys,
			   sbi->region->size);
	if (sbi->object)
		seq_printf(seq, ",image=sha256:%*phN", DAXFS_DIGEST_SIZE, sbi->object->digest);
	if (sbi->name)
		seq_show_option(seq, "name", sbi->name);
	if (sbi->verify != DAXFS_VERIFY_NONE)
		seq_printf(seq, ",verify=%s", verify_names[sbi->verify].name);
	return 0;
}

static const struct super_operations daxfs_super_operations = {
	.alloc_inode = daxfs_alloc_inode,
	.free_inode = daxfs_free_inode,
	.statfs = daxfs_statfs,
	.show_options = daxfs_show_options,
};

/* What a range without image= holds, if it is not an image. */
static bool holds_pool(const struct daxfs_region *region)
{
	struct daxfs_pool_info info;
	const char *why;

	return daxfs_pool_read_super(&info, region->kaddr, region->size, &why) != -EINVAL;
}

static int open_image(struct fs_context *fc, struct daxfs_sb *sbi)
{
	const struct daxfs_region *region = sbi->region;
	struct daxfs_image *image = &sbi->image;
	const char *why;
	int err;

	if (sbi->object)
		sbi->place = sbi->object->place;
	else
		daxfs_place_range(&sbi->place, region->phys, region->size);
	err = daxfs_open_image(sbi, &why);
	if (err == -EINVAL && !sbi->object && !region->buffer && holds_pool(region))
		why = "it holds a pool, say which image of it: image=NAME or image=sha256:DIGEST";
	if (!err && sbi->object &&
	    memcmp(image->info.root, sbi->object->digest, sizeof(image->info.root))) {
		why = "image in the pool is another one than its row says";
		err = -EUCLEAN;
	}
	if (err == -EFBIG)
		errorf(fc, "daxfs: image at %s has %llu bytes, %s%llu is too small",
		       kobject_name(&region->kobject), image->info.image_size,
		       sbi->object ? "its place in the pool of " : "size=", sbi->place.size);
	else if (err)
		errorf(fc, "daxfs: range at %s: %s", kobject_name(&region->kobject), why);
	if (!err && 1U << image->info.data_align_shift < PAGE_SIZE) {
		errorf(fc, "daxfs: image's data is aligned for pages smaller than this kernel's");
		err = -EINVAL;
	}
	return err;
}

static int daxfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct daxfs_sb *sbi = daxfs_sb(sb);
	struct inode *root;

	sb->s_magic = DAXFS_SUPER_MAGIC;
	sb->s_op = &daxfs_super_operations;
	sb->s_export_op = &daxfs_export_operations;
	sb->s_xattr = daxfs_xattr_handlers;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	sb->s_flags |= SB_RDONLY | SB_NOATIME | SB_POSIXACL;
	sb->s_blocksize_bits = DAXFS_BLOCK_SHIFT;
	sb->s_blocksize = DAXFS_BLOCK_SIZE;
	memcpy(&sb->s_uuid, sbi->image.info.uuid, sizeof(sb->s_uuid));
	root = daxfs_iget(sb, DAXFS_ROOT_INO);
	if (IS_ERR(root)) {
		errorf(fc, "daxfs: the image's root directory cannot be used, the log says why");
		return PTR_ERR(root);
	}
	sb->s_root = d_make_root(root);
	if (!sb->s_root)
		return -ENOMEM;
	trace_daxfs_mount(sb);
	return 0;
}

static void free_sb(struct daxfs_sb *sbi)
{
	if (!sbi)
		return;
	daxfs_failures_forget(sbi);
	daxfs_verify_end(sbi);
	daxfs_close_image(sbi);
	if (sbi->object)
		daxfs_object_put(sbi->object);
	daxfs_region_put(sbi->region);
	kfree(sbi->name);
	kfree(sbi);
}

static int same_image(struct super_block *sb, struct fs_context *fc)
{
	const struct daxfs_sb *wanted = fc->s_fs_info;
	const struct daxfs_sb *there = daxfs_sb(sb);

	return there->region == wanted->region && there->object == wanted->object;
}

/* The range that phys= and size= say, or that an attached pool has: source pool:NAME. */
static int find_range(struct fs_context *fc)
{
	struct daxfs_options *options = fc->fs_private;
	const char *name = fc->source;

	if (options->buffer) {
		if (options->phys_given || options->size || options->image)
			return invalf(fc, "daxfs: phys=, size= and image= contradict dmabuf");
		return 0;
	}
	if (!name || strncmp(name, POOL_PREFIX, strlen(POOL_PREFIX))) {
		if (!options->phys_given || !options->size)
			return invalf(fc, "daxfs: give the image's place: phys=ADDRESS,size=BYTES");
		if (options->phys > DAXFS_SIZE_MAX - options->size)
			return invalf(fc, "daxfs: the range is beyond all memory");
		return 0;
	}
	name += strlen(POOL_PREFIX);
	if (options->phys_given || options->size)
		return invalf(fc, "daxfs: phys= and size= contradict pool:%s", name);
	if (!options->image)
		return invalf(fc, "daxfs: say which image of the pool: image=NAME");
	if (!daxfs_device_range(name, &options->phys, &options->size))
		return 0;
	errorf(fc, "daxfs: no pool %s is attached, see /dev/daxfs", name);
	return -ENODEV;
}

/* Becomes a user of the range, and of the object if it is one in a pool. */
static int get_memory(struct fs_context *fc, struct daxfs_sb *sbi)
{
	const struct daxfs_options *options = fc->fs_private;
	struct daxfs_region *named;
	const char *why;
	int err = 0;

	if (options->buffer) {
		sbi->region = daxfs_region_get_buffer(options->buffer, &why);
		if (!IS_ERR(sbi->region))
			return 0;
		errorf(fc, "daxfs: %s", why);
		return PTR_ERR(sbi->region);
	}
	sbi->region = daxfs_region_get(options->phys, options->size, &why);
	if (IS_ERR(sbi->region)) {
		errorf(fc, "daxfs: phys=0x%llx,size=%llu: %s", (u64)options->phys, options->size,
		       why);
		return PTR_ERR(sbi->region);
	}
	if (!options->image)
		return 0;
	named = sbi->region;
	sbi->object = daxfs_object_get(fc, named, options->image);
	if (IS_ERR(sbi->object)) {
		err = PTR_ERR(sbi->object);
	} else {
		sbi->region = sbi->object->member->bank[0].region;
		daxfs_region_hold(sbi->region);
	}
	daxfs_region_put(named);
	return err;
}

/* One superblock an image, however often it is mounted. */
static int daxfs_get_tree(struct fs_context *fc)
{
	struct daxfs_options *options = fc->fs_private;
	struct super_block *sb;
	struct daxfs_sb *sbi;
	int err;

	err = find_range(fc);
	if (err)
		return err;
	sbi = kzalloc(sizeof(*sbi), GFP_KERNEL);
	if (!sbi)
		return -ENOMEM;
	err = get_memory(fc, sbi);
	if (err) {
		kfree(sbi);
		return err;
	}
	swap(sbi->name, options->name);
	fc->s_fs_info = sbi;
	fc->sb_flags |= SB_RDONLY;
	/* Before anybody else can see it, for that may take minutes. */
	err = open_image(fc, sbi);
	if (!err)
		err = daxfs_verify_image(fc, sbi, options->verify);
	if (err)
		return err;
	sb = sget_fc(fc, same_image, set_anon_super_fc);
	if (IS_ERR(sb))
		return PTR_ERR(sb);
	if (sb->s_root) {
		daxfs_verify_raise(daxfs_sb(sb), sbi);
	} else {
		err = daxfs_fill_super(sb, fc);
		if (err) {
			deactivate_locked_super(sb);
			return err;
		}
		sb->s_flags |= SB_ACTIVE;
		daxfs_failures_mounted(sbi, sb);
	}
	fc->root = dget(sb->s_root);
	return 0;
}

static void daxfs_free_context(struct fs_context *fc)
{
	struct daxfs_options *options = fc->fs_private;

	free_sb(fc->s_fs_info);
	if (options->buffer)
		dma_buf_put(options->buffer);
	kfree(options->image);
	kfree(options->name);
	kfree(options);
}

/* A remount may say where the image is, and has to say what is so. */
static bool says_otherwise(const struct daxfs_options *options, const struct daxfs_sb *sbi)
{
	const struct daxfs_region *region = sbi->region;

	if (options->buffer || (options->image && !sbi->object))
		return true;
	if (region->buffer)
		return options->phys_given || options->size;
	return (options->phys_given && options->phys != region->phys) ||
	       (options->size && options->size != region->size);
}

static int daxfs_reconfigure(struct fs_context *fc)
{
	const struct daxfs_options *options = fc->fs_private;

	if (says_otherwise(options, daxfs_sb(fc->root->d_sb)))
		return invalf(fc, "daxfs: another image is not had by remounting");
	if (!(fc->sb_flags & SB_RDONLY)) {
		errorf(fc, "daxfs: an image is read-only");
		return -EROFS;
	}
	if (options->verify > daxfs_sb(fc->root->d_sb)->verify)
		return invalf(fc, "daxfs: verify= is raised by mounting the image once more");
	return 0;
}

static const struct fs_context_operations daxfs_context_operations = {
	.parse_param = daxfs_parse_param,
	.get_tree = daxfs_get_tree,
	.reconfigure = daxfs_reconfigure,
	.free = daxfs_free_context,
};

static int daxfs_init_fs_context(struct fs_context *fc)
{
	struct daxfs_options *options = kzalloc(sizeof(*options), GFP_KERNEL);

	if (!options)
		return -ENOMEM;
	fc->fs_private = options;
	fc->ops = &daxfs_context_operations;
	return 0;
}

static void daxfs_kill_sb(struct super_block *sb)
{
	struct daxfs_sb *sbi = daxfs_sb(sb);

	kill_anon_super(sb);
	free_sb(sbi);
}

struct file_system_type daxfs_type = {
	.owner = THIS_MODULE,
	.name = "daxfs",
	.init_fs_context = daxfs_init_fs_context,
	.parameters = daxfs_parameters,
	.kill_sb = daxfs_kill_sb,
	.fs_flags = FS_ALLOW_IDMAP,
};

static int __init daxfs_init(void)
{
	int err;

	err = daxfs_pools_init();
	if (err)
		return err;
	err = daxfs_inodes_init();
	if (err)
		return err;
	err = daxfs_mmap_init();
	if (err)
		goto exit_inodes;
	err = daxfs_counters_init();
	if (err)
		goto exit_mmap;
	err = daxfs_regions_init();
	if (err)
		goto exit_counters;
	err = daxfs_devices_init();
	if (err)
		goto exit_regions;
	err = register_filesystem(&daxfs_type);
	if (err)
		goto exit_devices;
	return 0;

exit_devices:
	daxfs_devices_exit();
exit_regions:
	daxfs_regions_exit();
exit_counters:
	daxfs_counters_exit();
exit_mmap:
	daxfs_mmap_exit();
exit_inodes:
	daxfs_inodes_exit();
	return err;
}

static void __exit daxfs_exit(void)
{
	unregister_filesystem(&daxfs_type);
	daxfs_devices_exit();
	daxfs_regions_exit();
	daxfs_counters_exit();
	daxfs_mmap_exit();
	daxfs_inodes_exit();
}

module_init(daxfs_init);
module_exit(daxfs_exit);

MODULE_ALIAS_FS("daxfs");
MODULE_DESCRIPTION("Container images in shared memory, mapped by every kernel that sees it");
MODULE_AUTHOR("The DAXFS developers");
MODULE_LICENSE("GPL");
DAXFS_IMPORT_DMA_BUF;
MODULE_INFO(tested, "Debian's 6.1, 6.12 and 7.2 on amd64");
