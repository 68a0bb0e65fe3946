/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The one way to words that several hosts write: docs/pool.md, "Words and their order".
 *
 * Three back-ends behind the same seven functions: the kernel, user space, and the
 * simulator (DAXFS_ATOMIC_SIMULATED), where each call is a choice of the scheduler.
 *
 * What callers may count on, and no more:
 *
 * - a load is an acquire, a store is a release;
 * - a compare-and-swap is one indivisible step and both acquire and release, but its
 *   own store may become visible after loads that follow it, as on arm64: put a
 *   daxfs_fence() between a swap and a load that must not pass it;
 * - a fence orders everything before it with everything behind it.
 *
 * Words are 8 bytes, naturally aligned, little-endian by decree (types.h).
 */
#ifndef DAXFS_ATOMIC_H
#define DAXFS_ATOMIC_H

#include "daxfs/types.h"

/** struct daxfs_word - a shared word; nobody but this header touches @raw */
struct daxfs_word {
	__u64 raw;
};
DAXFS_ASSERT_SIZE(struct daxfs_word, 8);

#if defined(DAXFS_ATOMIC_SIMULATED)

#ifdef __cplusplus
extern "C" {
#endif
__u64 daxfs_sim_load(const struct daxfs_word *word);
void daxfs_sim_store(struct daxfs_word *word, __u64 value);
__u64 daxfs_sim_cas(struct daxfs_word *word, __u64 expected, __u64 desired);
void daxfs_sim_fence(void);
void daxfs_sim_publish(const void *bytes, __u64 length);
void daxfs_sim_write_back(const void *bytes, __u64 length);
void daxfs_sim_refresh(const void *bytes, __u64 length);
#ifdef __cplusplus
}
#endif

#elif defined(__KERNEL__)

#include <asm/barrier.h>
#include <linux/atomic.h>
#include <linux/libnvdimm.h>

#ifndef CONFIG_64BIT
#error "DAXFS needs a 64-bit machine: shared words are loaded and stored whole"
#endif

#else

#ifdef __cplusplus
extern "C" {
#endif
/* core/lines.c: writes back and drops the lines of @bytes, between two full fences. */
void daxfs_clean_lines(const void *bytes, __u64 length);
#ifdef __cplusplus
}
#endif

#endif

/** daxfs_load() - read @word; nothing behind it happens before it */
static inline __u64 daxfs_load(const struct daxfs_word *word)
{
#if defined(DAXFS_ATOMIC_SIMULATED)
	return daxfs_sim_load(word);
#elif defined(__KERNEL__)
	/* Pairs with smp_store_release() in daxfs_store() and with daxfs_cas(). */
	return smp_load_acquire(&word->raw);
#else
	return __atomic_load_n(&word->raw, __ATOMIC_ACQUIRE);
#endif
}

/** daxfs_store() - write @word; everything before it is visible to who reads @value */
static inline void daxfs_store(struct daxfs_word *word, __u64 value)
{
#if defined(DAXFS_ATOMIC_SIMULATED)
	daxfs_sim_store(word, value);
#elif defined(__KERNEL__)
	/* Pairs with smp_load_acquire() in daxfs_load(). */
	smp_store_release(&word->raw, value);
#else
	__atomic_store_n(&word->raw, value, __ATOMIC_RELEASE);
#endif
}

/**
 * daxfs_cas() - compare-and-swap: @desired, if @word is exactly @expected
 * Return: what @word was; @expected means that it was swapped.
 */
static inline __u64 daxfs_cas(struct daxfs_word *word, __u64 expected, __u64 desired)
{
#if defined(DAXFS_ATOMIC_SIMULATED)
	return daxfs_sim_cas(word, expected, desired);
#elif defined(__KERNEL__)
	return cmpxchg64(&word->raw, expected, desired);
#else
	__atomic_compare_exchange_n(&word->raw, &expected, desired, 0, __ATOMIC_ACQ_REL,
				    __ATOMIC_ACQUIRE);
	return expected;
#endif
}

/** daxfs_fence() - full fence: no load behind it passes a store before it */
static inline void daxfs_fence(void)
{
#if defined(DAXFS_ATOMIC_SIMULATED)
	daxfs_sim_fence();
#elif defined(__KERNEL__)
	/* Pairs with the daxfs_fence() each caller names. */
	smp_mb();
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/**
 * daxfs_publish() - make plain and non-temporal stores to @bytes visible to all
 * participants before any later daxfs_store() or daxfs_cas() is.
 */
static inline void daxfs_publish(const void *bytes, __u64 length)
{
#if defined(DAXFS_ATOMIC_SIMULATED)
	daxfs_sim_publish(bytes, length);
#else
	(void)bytes;
	(void)length;
#if defined(__KERNEL__)
	/* Non-temporal stores obey no release; pairs with daxfs_load() of the word behind. */
	wmb();
#elif defined(__x86_64__)
	__builtin_ia32_sfence();
#else
	__atomic_thread_fence(__ATOMIC_RELEASE);
#endif
#endif
}

/**
 * daxfs_write_back() - the lines of @bytes are in memory before any later store is visible
 *
 * For memory without coherence between hosts, where daxfs_publish() is not enough. Behind it
 * and a daxfs_fence() another host's daxfs_refresh() finds what was stored.
 */
static inline void daxfs_write_back(const void *bytes, __u64 length)
{
#if defined(DAXFS_ATOMIC_SIMULATED)
	daxfs_sim_write_back(bytes, length);
#elif defined(__KERNEL__)
	/* Stores reach the cache before they are written back, and memory before later ones. */
	wmb();
	arch_wb_cache_pmem((void *)bytes, length);
	/* Pairs with daxfs_refresh() of another host. */
	wmb();
#else
	daxfs_clean_lines(bytes, length);
#endif
}

/**
 * daxfs_refresh() - what loads behind it give of @bytes was in memory when it began, or later
 * For lines that only another host writes, without coherence; needs a write-back by that host.
 */
static inline void daxfs_refresh(const void *bytes, __u64 length)
{
#if defined(DAXFS_ATOMIC_SIMULATED)
	daxfs_sim_refresh(bytes, length);
#elif defined(__KERNEL__)
	/* Own stores are in memory before what others stored is read anew. */
	mb();
	arch_invalidate_pmem((void *)bytes, length);
	/* Pairs with daxfs_write_back() of another host. */
	mb();
#else
	daxfs_clean_lines(bytes, length);
#endif
}

/** daxfs_prefetch() - @word will be loaded soon; no access, and nothing is ordered by it */
static inline void daxfs_prefetch(const struct daxfs_word *word)
{
#if defined(DAXFS_ATOMIC_SIMULATED)
	(void)word;
#else
	__builtin_prefetch(&word->raw);
#endif
}

#endif /* DAXFS_ATOMIC_H */
