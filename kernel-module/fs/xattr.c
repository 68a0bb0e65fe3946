// SPDX-License-Identifier: GPL-2.0-only
/* Extended attributes and ACLs: kept under their whole names, looked up by core. */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/slab.h>
#include <linux/xattr.h>

#include "internal.h"

static int find(struct inode *inode, const char *name, struct daxfs_xattr_entry *entry)
{
	const char *why;
	int err;

	err = daxfs_failed(inode);
	if (err)
		return err;
	err = daxfs_xattr_find(daxfs_image(inode), &daxfs_node(inode)->attr, name, strlen(name),
			       entry, &why);
	if (err && err != -ENODATA)
		daxfs_error(inode->i_sb, "inode %llu: %s", daxfs_node(inode)->attr.ino, why);
	return err;
}

/* For a handler with a prefix @name is the rest; full names lie behind one another in memory. */
static int daxfs_xattr_get(const struct xattr_handler *handler, struct dentry *dentry,
			   struct inode *inode, const char *name, void *buffer, size_t size)
{
	struct daxfs_xattr_entry entry;
	int err;

	err = find(inode, xattr_full_name(handler, name), &entry);
	if (err)
		return err;
	if (buffer && size < entry.value_length)
		return -ERANGE;
	if (buffer)
		memcpy(buffer, entry.value, entry.value_length);
	return entry.value_length;
}

static const struct xattr_handler user_handler = {
	.prefix = XATTR_USER_PREFIX,
	.get = daxfs_xattr_get,
};

static const struct xattr_handler trusted_handler = {
	.prefix = XATTR_TRUSTED_PREFIX,
	.get = daxfs_xattr_get,
};

static const struct xattr_handler security_handler = {
	.prefix = XATTR_SECURITY_PREFIX,
	.get = daxfs_xattr_get,
};

daxfs_xattr_handlers_t daxfs_xattr_handlers = {
	&user_handler,
	&trusted_handler,
	&security_handler,
#if IS_ENABLED(CONFIG_FS_POSIX_ACL)
	&nop_posix_acl_access,
	&nop_posix_acl_default,
#endif
	NULL
};

static bool name_starts(const struct daxfs_xattr_entry *entry, const char *prefix)
{
	size_t length = strlen(prefix);

	return entry->name_length >= length && !memcmp(entry->name, prefix, length);
}

/**
 * daxfs_listxattr() - inode_operations.listxattr
 * @dentry: of an image
 * @buffer: filled with terminated names; NULL to ask for the size
 * @size: bytes at @buffer
 *
 * trusted.* is shown to CAP_SYS_ADMIN only, as on other filesystems.
 * Return: bytes, or -ERANGE, -EUCLEAN.
 */
ssize_t daxfs_listxattr(struct dentry *dentry, char *buffer, size_t size)
{
	struct inode *inode = d_inode(dentry);
	struct daxfs_xattr_entry entry;
	u64 position = 0;
	ssize_t total = 0;
	const char *why;
	int more = daxfs_failed(inode);

	if (more)
		return more;
	while ((more = daxfs_xattr_next(daxfs_image(inode), &daxfs_node(inode)->attr, &position,
					&entry, &why)) > 0) {
		if (name_starts(&entry, XATTR_TRUSTED_PREFIX) &&
		    !ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN))
			continue;
		if (buffer && size - total < entry.name_length + 1)
			return -ERANGE;
		if (buffer) {
			memcpy(buffer + total, entry.name, entry.name_length);
			buffer[total + entry.name_length] = 0;
		}
		total += entry.name_length + 1;
	}
	if (more < 0) {
		daxfs_error(inode->i_sb, "inode %llu: %s", daxfs_node(inode)->attr.ino, why);
		return more;
	}
	return total;
}

/** daxfs_get_inode_acl() - inode_operations.get_inode_acl; the result is cached by the kernel */
struct posix_acl *daxfs_get_inode_acl(struct inode *inode, int type, bool rcu)
{
	const char *name = type == ACL_TYPE_ACCESS ? XATTR_NAME_POSIX_ACL_ACCESS :
						     XATTR_NAME_POSIX_ACL_DEFAULT;
	struct daxfs_xattr_entry entry;
	struct posix_acl *acl;
	void *value;
	int err;

	if (rcu)
		return ERR_PTR(-ECHILD);
	err = find(inode, name, &entry);
	if (err == -ENODATA)
		return NULL;
	if (err)
		return ERR_PTR(err);
	/* A copy: the kernel reads an ACL more than once, the bytes may change. */
	value = kmemdup(entry.value, entry.value_length, GFP_KERNEL);
	if (!value)
		return ERR_PTR(-ENOMEM);
	acl = posix_acl_from_xattr(&init_user_ns, value, entry.value_length);
	kfree(value);
	return acl;
}
