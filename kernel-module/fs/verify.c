// SPDX-License-Identifier: GPL-2.0-only
/*
 * verify=: are the image's bytes those that its root digest speaks of? The metadata is looked at
 * when it is mounted; of the data each piece of 64 KiB, at once (full), or when something of it is
 * first read or mapped (lazy), and not again. What another host writes after that is not seen.
 */
#define pr_fmt(fmt) "daxfs: " fmt

#include <crypto/hash.h>
#include <linux/fs_context.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

/* Published once, freed with the image. */
static unsigned long *verified_of(const struct daxfs_sb *sbi)
{
	return rcu_dereference_raw(sbi->verified);
}

/* Copied first: memory that fails under the copy is an error, under the hash the kernel's end. */
static int hash_bytes(const struct daxfs_sb *sbi, struct shash_desc *hash, u64 offset, u64 end)
{
	u8 *copy = kmalloc(PAGE_SIZE, GFP_KERNEL);
	u64 length;
	int err = copy ? 0 : -ENOMEM;

	for (; !err && offset < end; offset += length) {
		const u8 *bytes;

		length = min_t(u64, end - offset, PAGE_SIZE - offset % PAGE_SIZE);
		bytes = daxfs_address(sbi, offset, &length);
		if (!length)
			err = -EUCLEAN;
		else if (copy_mc_to_kernel(copy, bytes, length))
			err = -EIO;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		else
			err = crypto_shash_update(hash, copy, length);
		cond_resched();
	}
	kfree(copy);
	return err;
}

static int verify_root(const struct daxfs_sb *sbi)
{
	const struct daxfs_info *info = &sbi->image.info;
	SHASH_DESC_ON_STACK(hash, sbi->sha256);
	u64 length = DAXFS_BLOCK_SIZE;
	const u8 *super = daxfs_address(sbi, 0, &length);
	u8 root[DAXFS_DIGEST_SIZE];
	u8 *block;
	int err;

	if (!daxfs_image_good(sbi))
		return -EIO;
	block = kmalloc(DAXFS_BLOCK_SIZE, GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	daxfs_super_for_root(block, super);
	hash->tfm = sbi->sha256;
	err = crypto_shash_init(hash);
	if (!err)
		err = crypto_shash_update(hash, block, DAXFS_BLOCK_SIZE);
	if (!err)
		err = hash_bytes(sbi, hash, info->meta_offset,
				 info->meta_offset + info->meta_size);
	if (!err)
		err = crypto_shash_final(hash, root);
	kfree(block);
	if (err || !memcmp(root, info->root, sizeof(root)))
		return err;
	return -EUCLEAN;
}

static int verify_piece(const struct daxfs_sb *sbi, u64 piece)
{
	SHASH_DESC_ON_STACK(hash, sbi->sha256);
	u8 digest[DAXFS_DIGEST_SIZE];
	const u8 *wanted;
	u64 offset, length;
	const char *why;
	int err;

	err = daxfs_piece_get(&sbi->image, piece, &offset, &length, &wanted, &why);
	if (err)
		return -EUCLEAN;
	if (!daxfs_good(sbi, offset, offset + length))
		return -EIO;
	daxfs_count(sbi->region, DAXFS_VERIFIED_PIECES, 1);
	hash->tfm = sbi->sha256;
	err = crypto_shash_init(hash);
	if (!err)
		err = hash_bytes(sbi, hash, offset, offset + length);
	if (!err)
		err = crypto_shash_final(hash, digest);
	if (err || !memcmp(digest, wanted, sizeof(digest)))
		return err;
	return -EUCLEAN;
}

static int verify_piece_once(const struct daxfs_sb *sbi, unsigned long *verified, u64 piece)
{
	int err;

	if (likely(test_bit(piece, verified)))
		return 0;
	err = verify_piece(sbi, piece);
	if (!err)
		set_bit(piece, verified);
	return err;
}

/**
 * daxfs_verify_data() - may bytes of the image be used?
 * @sb: the image
 * @offset: of the first byte, in the data area
 * @length: bytes wanted; cut to what has been looked at
 *
 * Return: 0; -EUCLEAN and a line in the log: they are wrong; -EIO their memory has failed.
 */
int daxfs_verify_data(struct super_block *sb, u64 offset, u64 *length)
{
	const struct daxfs_sb *sbi = daxfs_sb(sb);
	unsigned long *verified = verified_of(sbi);
	u64 piece = offset >> DAXFS_PIECE_SHIFT;
	int err;

	if (likely(!verified))
		return 0;
	*length = min_t(u64, *length, DAXFS_PIECE_SIZE - offset % DAXFS_PIECE_SIZE);
	err = verify_piece_once(sbi, verified, piece);
	if (err == -EUCLEAN)
		daxfs_error(sb, "data of piece %llu, at 0x%llx: not what its digest says", piece,
			    piece << DAXFS_PIECE_SHIFT);
	return err;
}

/** daxfs_verify_range() - the same of all bytes from @offset to @end */
int daxfs_verify_range(struct super_block *sb, u64 offset, u64 end)
{
	u64 length;
	int err;

	for (; offset < end; offset += length) {
		length = end - offset;
		err = daxfs_verify_data(sb, offset, &length);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int verify_all(struct fs_context *fc, struct daxfs_sb *sbi)
{
	u64 piece, count = daxfs_piece_count(&sbi->image.info);
	int err = 0;

	for (piece = 0; piece < count && !err; piece++)
		err = READ_ONCE(sbi->failed) ? -EIO :
		      verify_piece_once(sbi, verified_of(sbi), piece);
	if (err == -EUCLEAN)
		daxfs_refuse(fc, "data of piece %llu, at 0x%llx: not what its digest says",
			     piece - 1, (piece - 1) << DAXFS_PIECE_SHIFT);
	return err;
}

/* What lazy and full need: the hash, and which pieces have been looked at. */
static int prepare(struct daxfs_sb *sbi, enum daxfs_verify level)
{
	u64 count = daxfs_piece_count(&sbi->image.info);
	struct crypto_shash *sha256 = crypto_alloc_shash("sha256", 0, 0);
	unsigned long *verified;

	if (IS_ERR(sha256))
		return PTR_ERR(sha256);
	sbi->sha256 = sha256;
	if (level < DAXFS_VERIFY_LAZY)
		return 0;
	verified = kvcalloc(BITS_TO_LONGS(count) + 1, sizeof(long), GFP_KERNEL | __GFP_NOWARN);
	if (!verified)
		return -ENOMEM;
	rcu_assign_pointer(sbi->verified, verified);
	return 0;
}

/**
 * daxfs_verify_image() - look at an image that is opened and not mounted yet
 * @fc: told what is wrong
 * @sbi: nobody else knows of it: this takes its time, and no lock
 * @level: how much
 *
 * Return: 0; -EUCLEAN the image is wrong; -EIO its memory has failed; -EINTR; -ENOMEM; what the
 * kernel's hash says.
 */
int daxfs_verify_image(struct fs_context *fc, struct daxfs_sb *sbi, enum daxfs_verify level)
{
	int err;

	if (level == DAXFS_VERIFY_NONE)
		return 0;
	err = prepare(sbi, level);
	if (!err) {
		err = verify_root(sbi);
		if (err == -EUCLEAN)
			daxfs_refuse(fc, "metadata is not what the root digest says");
	}
	if (!err && level == DAXFS_VERIFY_FULL)
		err = verify_all(fc, sbi);
	if (err == -EUCLEAN)
		daxfs_count(sbi->region, DAXFS_CORRUPTIONS, 1);
	else if (err == -EIO)
		daxfs_refuse(fc, "memory of the image has failed");
	else if (err)
		daxfs_refuse(fc, "the image could not be verified: error %d", -err);
	if (!err)
		sbi->verify = level;
	return err;
}

/**
 * daxfs_verify_raise() - the same image is mounted already: that mount is verified as well
 * @there: of that mount; its superblock's s_umount is held for writing
 * @mine: what has been looked at just now
 *
 * What has been mapped before stays mapped.
 */
void daxfs_verify_raise(struct daxfs_sb *there, struct daxfs_sb *mine)
{
	if (mine->verify <= there->verify)
		return;
	if (!there->sha256)
		swap(there->sha256, mine->sha256);
	if (!verified_of(there)) {
		/* Behind the hash, which whoever sees it uses. */
		rcu_assign_pointer(there->verified, verified_of(mine));
		RCU_INIT_POINTER(mine->verified, NULL);
	}
	there->verify = mine->verify;
}

/** daxfs_verify_end() - the image goes; harmless if nothing was verified */
void daxfs_verify_end(struct daxfs_sb *sbi)
{
	kvfree(verified_of(sbi));
	if (sbi->sha256)
		crypto_free_shash(sbi->sha256);
}
