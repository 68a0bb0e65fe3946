// SPDX-License-Identifier: Apache-2.0
/*
 * A program of 32 MiB that runs a little of every fourth of its pages and ends: most of what it takes is its start and
 * faults.
 */
#define PAGES 8192
#define PAGE 4096
#define STEP 4

__asm__(".text\n"
	".balign 4096\n"
	"pages:\n"
	".rept 8192\n"
	"\tret\n"
	"\t.balign 4096, 0xcc\n"
	".endr\n");

extern const char pages[];

int main(void)
{
	for (long i = 0; i < PAGES; i += STEP)
		((void (*)(void))(pages + i * PAGE))();
	return 0;
}
