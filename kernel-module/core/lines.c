// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Cache lines in user space, for memory without coherence between hosts. */
#include "daxfs/atomic.h"

/* The least there is on either machine; a larger line is only visited more than once. */
#define LINE_SIZE	64U

/* There is one way to do both without a privilege; a line that is clean is only dropped. */
static void clean_line(const char *line)
{
#if defined(__x86_64__)
	__builtin_ia32_clflush(line);
#elif defined(__aarch64__)
	__asm__ volatile("dc civac, %0" : : "r"(line) : "memory");
#else
#error "how is a cache line written back and dropped on this machine?"
#endif
}

void daxfs_clean_lines(const void *bytes, __u64 length)
{
	const char *first = bytes;
	__u64 skew = (__UINTPTR_TYPE__)first % LINE_SIZE;
	__u64 at;

	daxfs_fence();
	for (at = 0; at < length + skew; at += LINE_SIZE)
		clean_line(first - skew + at);
#if defined(__aarch64__)
	__asm__ volatile("dsb sy" : : : "memory");
#endif
	daxfs_fence();
}
