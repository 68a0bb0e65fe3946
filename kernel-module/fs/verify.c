// SPDX-License-Identifier: GPL-2.0-only
/*
 * verify=: are the image's bytes those that its root digest speaks of? The metadata is looked at
 * when it is mounted; of the data each piece of 64 KiB, at once (full), or when something of it is
 * first read or mapped (lazy), and not again. What another host writes after that is not seen.
 */
#define pr_fmt(fmt) "daxfs: " fmt

#include <crypto/hash.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "internal.h"

/* Published once, freed with the image. */
static unsigned long *verified_of(const struct daxfs_sb *sbi)
{
	return rcu_dereference_raw(sbi->verified);
}

static int hash_bytes(const struct daxfs_sb *sbi, struct shash_desc *hash, u64 offset, u64 end)
{
	u64 length;
	int err;

	for (; offset < end; offset += length) {
		const u8 *bytes;

		length = min_t(u64, end - offset, DAXFS_PIECE_SIZE);
		bytes = daxfs_address(sbi, offset, &length);
		if (!length)
			return -EUCLEAN;
		err = crypto_shash_update(hash, bytes, length);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int verify_root(struct super_block *sb)
{
	struct daxfs_sb *sbi = daxfs_sb(sb);
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
	daxfs_error(sb, "metadata is not what the root digest says");
	return -EUCLEAN;
}

static int verify_piece(struct super_block *sb, u64 piece)
{
	const struct daxfs_sb *sbi = daxfs_sb(sb);
	u8 digest[DAXFS_DIGEST_SIZE];
	const u8 *wanted, *bytes;
	u64 offset, length, there;
	const char *why;
	int err;

	err = daxfs_piece_get(&sbi->image, piece, &offset, &length, &wanted, &why);
	if (err) {
		daxfs_error(sb, "piece %llu: %s", piece, why);
		return -EUCLEAN;
	}
	there = length;
	bytes = daxfs_address(sbi, offset, &there);
	if (there != length)	/* chunks are whole pieces, so that is no image of ours */
		return -EUCLEAN;
	if (daxfs_good_length(sbi, offset, length) != length)
		return -EIO;
	err = crypto_shash_tfm_digest(sbi->sha256, bytes, length, digest);
	if (err)
		return err;
	daxfs_count(sbi->region, DAXFS_VERIFIED_PIECES, 1);
	if (!memcmp(digest, wanted, sizeof(digest)))
		return 0;
	daxfs_error(sb, "data at 0x%llx, %llu bytes: not what their digest says", offset, length);
	return -EUCLEAN;
}

static int verify_piece_once(struct super_block *sb, unsigned long *verified, u64 piece)
{
	int err;

	if (likely(test_bit(piece, verified)))
		return 0;
	err = verify_piece(sb, piece);
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
	unsigned long *verified = verified_of(daxfs_sb(sb));

	if (likely(!verified))
		return 0;
	*length = min_t(u64, *length, DAXFS_PIECE_SIZE - offset % DAXFS_PIECE_SIZE);
	return verify_piece_once(sb, verified, offset >> DAXFS_PIECE_SHIFT);
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

static int verify_all(struct super_block *sb, unsigned long *verified)
{
	u64 piece, count = daxfs_piece_count(&daxfs_sb(sb)->image.info);
	int err;

	for (piece = 0; piece < count; piece++) {
		err = verify_piece_once(sb, verified, piece);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* What lazy and full need: the hash, and which pieces have been looked at. */
static int prepare(struct daxfs_sb *sbi, enum daxfs_verify level, unsigned long **verified)
{
	u64 count = daxfs_piece_count(&sbi->image.info);

	if (!sbi->sha256) {
		struct crypto_shash *sha256 = crypto_alloc_shash("sha256", 0, 0);

		if (IS_ERR(sha256))
			return PTR_ERR(sha256);
		sbi->sha256 = sha256;
	}
	*verified = verified_of(sbi);
	if (level < DAXFS_VERIFY_LAZY || *verified)
		return 0;
	*verified = kvcalloc(BITS_TO_LONGS(count) + 1, sizeof(long), GFP_KERNEL | __GFP_NOWARN);
	return *verified ? 0 : -ENOMEM;
}

/**
 * daxfs_verify_raise() - from now on at least @level of an image is verified
 * @sb: the image; s_umount is held for writing
 * @level: weaker than what is done already: nothing happens
 *
 * What has been mapped before stays mapped.
 * Return: 0; -EUCLEAN and a line in the log: the image is wrong, nothing has changed; -EIO its
 * memory has failed; -EINTR; -ENOMEM; what the kernel's hash says.
 */
int daxfs_verify_raise(struct super_block *sb, enum daxfs_verify level)
{
	struct daxfs_sb *sbi = daxfs_sb(sb);
	unsigned long *verified;
	int err;

	if (level <= sbi->verify)
		return 0;
	err = prepare(sbi, level, &verified);
	if (err)
		return err;
	if (sbi->verify == DAXFS_VERIFY_NONE)
		err = verify_root(sb);
	if (!err && level == DAXFS_VERIFY_FULL)
		err = verify_all(sb, verified);
	if (!err) {
		rcu_assign_pointer(sbi->verified, verified);
		sbi->verify = level;
	} else if (verified != verified_of(sbi)) {
		kvfree(verified);
	}
	return err;
}

/** daxfs_verify_end() - the image goes; harmless if nothing was verified */
void daxfs_verify_end(struct daxfs_sb *sbi)
{
	kvfree(verified_of(sbi));
	if (sbi->sha256)
		crypto_free_shash(sbi->sha256);
}
