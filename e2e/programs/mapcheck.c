// SPDX-License-Identifier: Apache-2.0
/*
 * What programs do with mapped files, checked one by one. Runs on any
 * filesystem, so that tmpfs in the same virtual machine is the control.
 *
 *   mapcheck generate DIR [BYTES]   make the files the checks use
 *   mapcheck run DIR SCRATCH        run every check; SCRATCH on a filesystem with O_DIRECT
 *   mapcheck pfn FILE OFFSET        page frame of a byte of a mapped file (root)
 *   mapcheck dump FILE              map it, and die of an abort
 *   mapcheck hold FILE PIPE         pin a page in a pipe, drop the mapping, wait for a line, print it
 *
 * A line a check: "ok NAME [figures]", "FAIL NAME: reason". Exit 1 if any failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define CHUNK (2UL << 20)
#define HUGE_BYTES (5 * CHUNK + 12345)	/* a HUGE file: five whole chunks and a tail */
#define SMALL_BYTES (3UL * (1 << 20) + 77)
#define HOLE_START (64 * PAGE)
#define HOLE_END (128 * PAGE)
#define SPARSE_BYTES (200 * PAGE)

static const char *dir, *scratch, *check_name;
static int failures;
static char detail[512];
static sigjmp_buf signal_jump;

static void fail(const char *format, ...)
{
	char reason[512];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	printf("FAIL %s: %s\n", check_name, reason);
	failures++;
}

#define EXPECT(condition, ...) do { if (!(condition)) { fail(__VA_ARGS__); return; } } while (0)

/* The word at byte 8 * i of every file: so that a page tells where it belongs. */
static uint64_t word_at(uint64_t i)
{
	uint64_t z = (i + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint8_t byte_at(uint64_t offset)
{
	uint64_t word = word_at(offset / 8);

	return ((uint8_t *)&word)[offset % 8];
}

static int same(const uint8_t *bytes, uint64_t offset, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		if (bytes[i] != byte_at(offset + i))
			return 0;
	return 1;
}

static int open_file(const char *folder, const char *name, int flags)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return open(path, flags | O_CLOEXEC, 0600);
}

static uint8_t *map_at(const char *name, uint64_t length, int protection, int flags, void *address)
{
	int fd = open_file(dir, name, O_RDONLY);
	uint8_t *map;

	if (fd < 0) {
		fprintf(stderr, "mapcheck: %s/%s: %s\n", dir, name, strerror(errno));
		exit(2);
	}
	map = mmap(address, length, protection, flags, fd, 0);
	close(fd);
	if (map == MAP_FAILED) {
		fprintf(stderr, "mapcheck: mmap %s: %s\n", name, strerror(errno));
		exit(2);
	}
	return map;
}

/* At a 2 MiB boundary, where a huge entry is possible on every filesystem and through OverlayFS. */
static uint8_t *map_aligned(const char *name, uint64_t length, int protection, int flags)
{
	uint8_t *space = mmap(NULL, length + 2 * CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = (uint8_t *)(((uintptr_t)space + CHUNK - 1) & ~(CHUNK - 1));

	return map_at(name, length, protection, flags | MAP_FIXED, at);
}

/* A byte that is certainly not the file's. */
static uint8_t other_byte(uint64_t offset)
{
	return byte_at(offset) ^ 0xff;
}

static uint64_t round_page(uint64_t length)
{
	return (length + PAGE - 1) & ~(PAGE - 1);
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static long touch(const uint8_t *map, uint64_t length)
{
	long before = minor_faults();
	volatile uint8_t sum = 0;

	for (uint64_t i = 0; i < length; i += PAGE)
		sum += map[i];
	return minor_faults() - before;
}

/* A field of the mapping's entry in smaps, in KiB; -1 if there is none. */
static long smaps(const void *address, const char *field)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[512];
	int inside = 0;
	long value = -1;

	while (value < 0 && file && fgets(line, sizeof(line), file)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)address >= start && (uintptr_t)address < end;
		else if (inside && !strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			value = atol(line + strlen(field) + 1);
	}
	if (file)
		fclose(file);
	return value;
}

static uint64_t page_frame(const void *address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)address / PAGE * 8)) != 8)
		entry = 0;
	close(fd);
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static void on_signal(int signal)
{
	siglongjmp(signal_jump, signal);
}

/* Whether reading the byte is answered by that signal. */
static int answered_by(int signal, const uint8_t *address)
{
	struct sigaction action = { .sa_handler = on_signal }, old;
	volatile int answered = 0;

	sigaction(signal, &action, &old);
	if (!sigsetjmp(signal_jump, 1))
		(void)*(const volatile uint8_t *)address;
	else
		answered = 1;
	sigaction(signal, &old, NULL);
	return answered;
}

/* ---- checks ---- */

static void check_read(void)
{
	static const struct { const char *name; uint64_t size; } files[] = {
		{ "huge", HUGE_BYTES }, { "small", SMALL_BYTES },
	};
	uint8_t *buffer = malloc(HUGE_BYTES);

	for (int i = 0; i < 2; i++) {
		int fd = open_file(dir, files[i].name, O_RDONLY);
		ssize_t got = pread(fd, buffer, HUGE_BYTES, 0);

		EXPECT(got == (ssize_t)files[i].size, "%s: read %zd", files[i].name, got);
		EXPECT(same(buffer, 0, files[i].size), "%s: bytes differ", files[i].name);
		EXPECT(pread(fd, buffer, 100, files[i].size - 10) == 10, "short read at the end");
		EXPECT(pread(fd, buffer, 100, files[i].size) == 0, "read behind the end");
		EXPECT(pread(fd, buffer, 5000, 4097) == 5000 && same(buffer, 4097, 5000), "odd read");
		close(fd);
	}
	free(buffer);
}

static void check_small_faults(void)
{
	uint8_t *map = map_at("small", SMALL_BYTES, PROT_READ, MAP_SHARED, NULL);
	long faults = touch(map, SMALL_BYTES);
	long pages = round_page(SMALL_BYTES) / PAGE;

	snprintf(detail, sizeof(detail), "pages=%ld faults=%ld", pages, faults);
	EXPECT(faults <= pages / 8, "%ld faults for %ld pages: no fault-around", faults, pages);
	EXPECT(same(map, 0, SMALL_BYTES), "bytes differ");
	EXPECT(!memcmp(map + SMALL_BYTES, (uint8_t[8]){ 0 }, 8), "tail is not zero");
	munmap(map, SMALL_BYTES);
}

static void check_huge_faults(void)
{
	uint8_t *map = map_aligned("huge", HUGE_BYTES, PROT_READ, MAP_SHARED);
	long faults = touch(map, 5 * CHUNK);
	long huge_kib = smaps(map, "FilePmdMapped") + smaps(map, "ShmemPmdMapped");

	snprintf(detail, sizeof(detail), "chunks=5 faults=%ld huge_kib=%ld", faults, huge_kib);
	EXPECT(same(map, 0, HUGE_BYTES), "bytes differ");
	munmap(map, HUGE_BYTES);
}

static void check_private_text(void)
{
	uint8_t *map = map_aligned("huge", HUGE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE);
	long copied;

	touch(map, HUGE_BYTES);
	copied = smaps(map, "Anonymous");
	snprintf(detail, sizeof(detail), "rss_kib=%ld copied_kib=%ld", smaps(map, "Rss"), copied);
	EXPECT(copied == 0, "%ld KiB copied", copied);
	munmap(map, HUGE_BYTES);
}

static void check_cow(const char *name, uint64_t size, uint8_t *map, uint64_t at)
{
	int fd = open_file(dir, name, O_RDONLY);
	uint8_t byte = 0, written = other_byte(at);

	map[at] = written;
	EXPECT(pread(fd, &byte, 1, (off_t)at) == 1 && byte == byte_at(at), "%s: the file changed", name);
	EXPECT(map[at] == written, "%s: the write is lost", name);
	EXPECT(same(map, 0, at), "%s: bytes before the write differ", name);
	EXPECT(same(map + at + 1, at + 1, size - at - 1), "%s: bytes behind the write differ", name);
	close(fd);
}

static void check_copy_on_write(void)
{
	uint8_t *small = map_at("small", SMALL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, NULL);
	uint8_t *huge = map_aligned("huge", HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	check_cow("small", SMALL_BYTES, small, 5 * PAGE + 7);	/* write before any read */
	check_cow("huge", HUGE_BYTES, huge, CHUNK + 9 * PAGE);
	munmap(small, SMALL_BYTES);
	munmap(huge, HUGE_BYTES);
	huge = map_aligned("huge", HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	touch(huge, HUGE_BYTES);				/* and after */
	check_cow("huge", HUGE_BYTES, huge, 3 * CHUNK + PAGE - 1);
	munmap(huge, HUGE_BYTES);
}

static void check_fork(void)
{
	uint8_t *map = map_aligned("huge", HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int status = 0;
	pid_t child;

	touch(map, HUGE_BYTES);
	map[7] = other_byte(7);
	child = fork();
	if (!child) {
		int good = map[7] == other_byte(7) && same(map + 8, 8, HUGE_BYTES - 8);

		map[CHUNK] = 1;
		map[7] = 2;
		_exit(good && map[CHUNK] == 1 ? 0 : 1);
	}
	waitpid(child, &status, 0);
	EXPECT(WIFEXITED(status) && !WEXITSTATUS(status), "the child saw other bytes");
	EXPECT(map[7] == other_byte(7) && map[CHUNK] == byte_at(CHUNK), "the child's write is seen");
	munmap(map, HUGE_BYTES);
}

static void check_partial(void)
{
	uint8_t *map = map_aligned("huge", HUGE_BYTES, PROT_READ, MAP_SHARED);
	uint8_t *moved;

	touch(map, HUGE_BYTES);
	munmap(map + CHUNK + 5 * PAGE, 3 * PAGE);		/* splits a huge entry */
	EXPECT(same(map, 0, CHUNK + 5 * PAGE), "bytes before the gap differ");
	EXPECT(same(map + CHUNK + 8 * PAGE, CHUNK + 8 * PAGE, PAGE), "bytes behind the gap differ");
	EXPECT(answered_by(SIGSEGV, map + CHUNK + 6 * PAGE), "what was unmapped is there again");
	EXPECT(!mprotect(map, 3 * PAGE, PROT_NONE) && !mprotect(map, 3 * PAGE, PROT_READ), "mprotect");
	EXPECT(same(map, 0, CHUNK), "bytes after mprotect differ");
	moved = mremap(map + 2 * CHUNK, CHUNK, CHUNK, MREMAP_MAYMOVE | MREMAP_FIXED, map + 8 * CHUNK);
	EXPECT(moved != MAP_FAILED && same(moved, 2 * CHUNK, CHUNK), "mremap");
	munmap(moved, CHUNK);
	munmap(map, HUGE_BYTES);
}

/* Pages `first` to `end` of the file, mapped where huge entries are possible, between pages of others. */
static void check_cut(uint64_t first, uint64_t end)
{
	uint8_t *base = map_aligned("huge", 3 * CHUNK, PROT_READ, MAP_SHARED);
	uint8_t *before = base + (first - 1) * PAGE, *behind = base + end * PAGE;
	int fd = open_file(dir, "huge", O_RDONLY);

	munmap(base, 3 * CHUNK);
	EXPECT(mmap(base + first * PAGE, (end - first) * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
		    (off_t)(first * PAGE)) != MAP_FAILED, "mmap from page %lu", (unsigned long)first);
	close(fd);
	EXPECT(same(base + first * PAGE, first * PAGE, (end - first) * PAGE), "bytes differ");
	EXPECT(answered_by(SIGSEGV, before) && answered_by(SIGSEGV, behind), "more is there than was mapped");
	for (int i = 0; i < 2; i++) {
		uint8_t *other = mmap(i ? behind : before, PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		EXPECT(other != MAP_FAILED && !other[9] && (other[9] = 1), "the page beside it is not empty");
	}
	EXPECT(before[9] == 1 && behind[9] == 1, "the pages beside it do not keep what is written");
	EXPECT(same(base + first * PAGE, first * PAGE, (end - first) * PAGE), "bytes differ behind other mappings");
	munmap(base, 3 * CHUNK);
}

/* The ends of a mapping need not be those of 2 MiB: a program's text never starts there. */
static void check_cut_mappings(void)
{
	static const uint64_t chunk = CHUNK / PAGE;

	check_cut(1, chunk - 1);
	check_cut(1, 2 * chunk - 1);
	check_cut(chunk - 1, 2 * chunk + 1);
}

static void check_past_end(void)
{
	uint8_t *map = map_at("small", SMALL_BYTES + 4 * PAGE, PROT_READ, MAP_SHARED, NULL);

	EXPECT(answered_by(SIGBUS, map + round_page(SMALL_BYTES)), "no SIGBUS behind the end");
	munmap(map, SMALL_BYTES + 4 * PAGE);
}

static void check_holes(void)
{
	uint8_t zero[PAGE] = { 0 }, buffer[PAGE], *map;
	int fd = open_file(dir, "sparse", O_RDONLY);
	off_t hole = lseek(fd, 0, SEEK_HOLE), data = lseek(fd, hole, SEEK_DATA);

	snprintf(detail, sizeof(detail), "hole=%ld data=%ld", (long)hole, (long)data);
	EXPECT(hole == HOLE_START && data == HOLE_END, "SEEK_HOLE %ld SEEK_DATA %ld", (long)hole, (long)data);
	EXPECT(lseek(fd, SPARSE_BYTES - 1, SEEK_HOLE) == SPARSE_BYTES, "SEEK_HOLE at the end");
	EXPECT(lseek(fd, SPARSE_BYTES, SEEK_DATA) < 0 && errno == ENXIO, "SEEK_DATA behind the end");
	EXPECT(pread(fd, buffer, PAGE, HOLE_START + 100) == PAGE && !memcmp(buffer, zero, PAGE), "read of a hole");
	map = map_at("sparse", SPARSE_BYTES, PROT_READ, MAP_PRIVATE, NULL);
	EXPECT(same(map, 0, HOLE_START), "bytes before the hole");
	EXPECT(same(map + HOLE_END, HOLE_END, SPARSE_BYTES - HOLE_END), "bytes behind the hole");
	for (uint64_t at = HOLE_START; at < HOLE_END; at += PAGE)
		EXPECT(!memcmp(map + at, zero, PAGE), "the hole is not zero when mapped");
	close(fd);
	munmap(map, SPARSE_BYTES);
}

static void direct_write_of(const uint8_t *map, uint64_t at, uint64_t length)
{
	int out = open_file(scratch, "direct", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT);
	uint8_t *back = aligned_alloc(PAGE, length);

	EXPECT(out >= 0, "no O_DIRECT in the scratch folder: %s", strerror(errno));
	EXPECT(pwrite(out, map + at, length, 0) == (ssize_t)length, "O_DIRECT write: %s", strerror(errno));
	EXPECT(pread(out, back, length, 0) == (ssize_t)length && same(back, at, length), "other bytes came out");
	close(out);
	free(back);
}

static void check_direct_write(void)
{
	uint8_t *huge = map_aligned("huge", HUGE_BYTES, PROT_READ, MAP_SHARED);
	uint8_t *small = map_at("small", SMALL_BYTES, PROT_READ, MAP_SHARED, NULL);

	direct_write_of(huge, CHUNK - 4 * PAGE, 16 * PAGE);	/* untouched, across two huge entries */
	direct_write_of(small, 3 * PAGE, 40 * PAGE);
	munmap(huge, HUGE_BYTES);
	munmap(small, SMALL_BYTES);
}

static void check_process_vm_readv(void)
{
	uint8_t *map = map_aligned("huge", HUGE_BYTES, PROT_READ, MAP_SHARED);
	uint8_t *buffer = malloc(8 * PAGE);
	struct iovec local = { buffer, 8 * PAGE }, remote = { map + CHUNK - 4 * PAGE, 8 * PAGE };

	EXPECT(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 8 * PAGE, "%s", strerror(errno));
	EXPECT(same(buffer, CHUNK - 4 * PAGE, 8 * PAGE), "bytes differ");
	free(buffer);
	munmap(map, HUGE_BYTES);
}

/* The child maps the file and says where; the tracer does not map it and pokes a word. */
static void poke_remote(const char *name, uint64_t size, uint64_t at, int aligned)
{
	int pipes[2], status;
	uint8_t *map = NULL, byte = 0;
	uint64_t page_words[PAGE / 8];
	pid_t child;

	EXPECT(!pipe(pipes), "pipe");
	child = fork();
	if (!child) {
		map = aligned ? map_aligned(name, size, PROT_READ | PROT_EXEC, MAP_PRIVATE)
			      : map_at(name, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, NULL);
		touch(map, size);
		(void)!write(pipes[1], &map, sizeof(map));
		pause();
		_exit(0);
	}
	EXPECT(read(pipes[0], &map, sizeof(map)) == sizeof(map), "the child said nothing");
	EXPECT(!ptrace(PTRACE_ATTACH, child, 0, 0), "attach: %s", strerror(errno));
	waitpid(child, &status, 0);
	EXPECT(!ptrace(PTRACE_POKETEXT, child, map + at, 0xccccccccccccccccUL), "poke: %s", strerror(errno));
	for (uint64_t i = 0; i < PAGE / 8; i++)
		page_words[i] = (uint64_t)ptrace(PTRACE_PEEKTEXT, child, map + at / PAGE * PAGE + 8 * i, 0);
	ptrace(PTRACE_DETACH, child, 0, 0);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	for (uint64_t i = 0; i < PAGE / 8; i++) {
		uint64_t want = i == at % PAGE / 8 ? 0xccccccccccccccccUL : word_at(at / PAGE * (PAGE / 8) + i);

		EXPECT(page_words[i] == want, "%s: word %lu of the tracee's page is wrong", name, (unsigned long)i);
	}
	status = open_file(dir, name, O_RDONLY);
	EXPECT(pread(status, &byte, 1, (off_t)at) == 1 && byte == byte_at(at), "%s: the file changed", name);
	close(status);
	close(pipes[0]);
	close(pipes[1]);
}

static void check_remote_poke(void)
{
	poke_remote("small", SMALL_BYTES, 7 * PAGE + 64, 0);
	poke_remote("huge", HUGE_BYTES, 2 * CHUNK + 11 * PAGE + 8, 1);
}

static void check_vmsplice(void)
{
	uint8_t *map = map_aligned("huge", HUGE_BYTES, PROT_READ, MAP_SHARED);
	uint8_t buffer[2 * PAGE];
	struct iovec part = { map + CHUNK - PAGE, 2 * PAGE };
	int pipes[2];

	EXPECT(!pipe(pipes), "pipe");
	EXPECT(vmsplice(pipes[1], &part, 1, 0) == 2 * PAGE, "%s", strerror(errno));
	munmap(map, HUGE_BYTES);
	EXPECT(read(pipes[0], buffer, 2 * PAGE) == 2 * PAGE && same(buffer, CHUNK - PAGE, 2 * PAGE), "bytes");
	close(pipes[0]);
	close(pipes[1]);
}

static void check_shared_write_refused(void)
{
	int fd = open_file(dir, "small", O_RDWR);

	if (fd >= 0) {		/* a writable control: nothing to refuse */
		close(fd);
		return;
	}
	EXPECT(errno == EROFS, "open for writing: %s", strerror(errno));
	fd = open_file(dir, "small", O_RDONLY);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED, "shared write");
	close(fd);
}

static void check_syscalls(void)
{
	static const int advice[] = { MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
				      MADV_DONTDUMP, MADV_SEQUENTIAL, MADV_RANDOM, MADV_DONTNEED };
	uint8_t *map = map_aligned("huge", HUGE_BYTES, PROT_READ, MAP_PRIVATE);

	for (unsigned int i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		madvise(map, HUGE_BYTES, advice[i]);	/* may be refused, may not harm */
		touch(map, HUGE_BYTES);
		EXPECT(same(map + CHUNK, CHUNK, PAGE), "bytes after advice %d", advice[i]);
	}
	mlock(map, 2 * CHUNK);
	munlock(map, 2 * CHUNK);
	EXPECT(!msync(map, HUGE_BYTES, MS_SYNC), "msync: %s", strerror(errno));
	EXPECT(!madvise(map, HUGE_BYTES, MADV_POPULATE_READ), "populate: %s", strerror(errno));
	EXPECT(same(map, 0, HUGE_BYTES), "bytes differ");
	munmap(map, HUGE_BYTES);
}

/* The kernel writes into the copy of a mapping, past any page cache of the file it reads. */
static void check_direct_read(void)
{
	uint8_t *huge = map_aligned("huge", HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int out = open_file(scratch, "direct", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT);
	uint8_t *page = aligned_alloc(PAGE, 4 * PAGE);
	int fd = open_file(dir, "huge", O_RDONLY | O_DIRECT);
	uint8_t byte = 0;

	memset(page, 0x5a, 4 * PAGE);
	EXPECT(pwrite(out, page, 4 * PAGE, 0) == 4 * (ssize_t)PAGE, "O_DIRECT write: %s", strerror(errno));
	touch(huge, HUGE_BYTES);
	EXPECT(pread(out, huge + CHUNK - 2 * PAGE, 4 * PAGE, 0) == 4 * (ssize_t)PAGE, "read: %s", strerror(errno));
	EXPECT(!memcmp(huge + CHUNK - 2 * PAGE, page, 4 * PAGE), "other bytes came in");
	EXPECT(same(huge, 0, CHUNK - 2 * PAGE) && same(huge + CHUNK + 2 * PAGE, CHUNK + 2 * PAGE, CHUNK), "neighbours");
	if (fd >= 0) {	/* not on tmpfs of every kernel */
		EXPECT(pread(fd, page, PAGE, CHUNK) == (ssize_t)PAGE && same(page, CHUNK, PAGE), "O_DIRECT open");
		close(fd);
	}
	fd = open_file(dir, "huge", O_RDONLY);
	EXPECT(pread(fd, &byte, 1, CHUNK) == 1 && byte == byte_at(CHUNK), "the file changed");
	close(fd);
	close(out);
	free(page);
	munmap(huge, HUGE_BYTES);
}

static void check_sendfile(void)
{
	int in = open_file(dir, "small", O_RDONLY), out = open_file(scratch, "sent", O_RDWR | O_CREAT | O_TRUNC);
	uint8_t *back = malloc(SMALL_BYTES);
	off_t at = 0, to = 0;
	int pipes[2];
	ssize_t got;

	while (at < (off_t)SMALL_BYTES / 2 && (got = sendfile(out, in, &at, SMALL_BYTES / 2 - at)) > 0)
		;
	to = at;
	EXPECT(at == SMALL_BYTES / 2, "sendfile: %s", strerror(errno));
	EXPECT(!pipe(pipes), "pipe");
	while (at < (off_t)SMALL_BYTES && (got = splice(in, &at, pipes[1], NULL, 16 * PAGE, 0)) > 0)
		EXPECT(splice(pipes[0], NULL, out, &to, got, 0) == got, "splice out: %s", strerror(errno));
	EXPECT(at == SMALL_BYTES && to == SMALL_BYTES, "splice: %s", strerror(errno));
	EXPECT(pread(out, back, SMALL_BYTES, 0) == SMALL_BYTES && same(back, 0, SMALL_BYTES), "bytes differ");
	free(back);
	close(pipes[0]);
	close(pipes[1]);
	close(in);
	close(out);
}

/* io_uring pins buffers for as long as it likes. 6.1 takes no mapping of a file but tmpfs's, whatever file system. */
static void check_long_pin(void)
{
	uint8_t *huge = map_aligned("huge", HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	struct io_uring_params parameters = { 0 };
	struct iovec part = { huge + CHUNK - 2 * PAGE, 4 * PAGE };
	int ring = syscall(SYS_io_uring_setup, 4, &parameters);

	EXPECT(ring >= 0, "io_uring: %s", strerror(errno));
	touch(huge, HUGE_BYTES);
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &part, 1) && errno != EOPNOTSUPP)
		fail("register: %s", strerror(errno));
	EXPECT(same(huge, 0, HUGE_BYTES), "bytes differ while they are pinned");
	munmap(huge, HUGE_BYTES);
	close(ring);
}

static void check_proc_mem(void)
{
	uint8_t *small = map_at("small", SMALL_BYTES, PROT_READ, MAP_PRIVATE, NULL), page[PAGE];
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	EXPECT(pread(mem, page, PAGE, (off_t)(uintptr_t)(small + 9 * PAGE)) == PAGE, "%s", strerror(errno));
	EXPECT(same(page, 9 * PAGE, PAGE), "bytes differ");
	close(mem);
	munmap(small, SMALL_BYTES);
}

static const struct { const char *name; void (*run)(void); } checks[] = {
	{ "read", check_read },
	{ "small-faults", check_small_faults },
	{ "huge-faults", check_huge_faults },
	{ "private-text", check_private_text },
	{ "copy-on-write", check_copy_on_write },
	{ "fork", check_fork },
	{ "partial-unmap", check_partial },
	{ "cut-mappings", check_cut_mappings },
	{ "past-end", check_past_end },
	{ "holes", check_holes },
	{ "direct-write", check_direct_write },
	{ "process-vm-readv", check_process_vm_readv },
	{ "remote-poke", check_remote_poke },
	{ "vmsplice", check_vmsplice },
	{ "shared-write-refused", check_shared_write_refused },
	{ "syscalls", check_syscalls },
	{ "direct-read", check_direct_read },
	{ "sendfile", check_sendfile },
	{ "long-pin", check_long_pin },
	{ "proc-mem", check_proc_mem },
};

static int run(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned int i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		int before = failures;

		check_name = checks[i].name;
		detail[0] = 0;
		checks[i].run();
		if (failures == before)
			printf("ok %s %s\n", check_name, detail);
	}
	return failures ? 1 : 0;
}

/* ---- files and single questions ---- */

static int make_file(const char *name, uint64_t size, uint64_t hole_start, uint64_t hole_end)
{
	int fd = open_file(dir, name, O_RDWR | O_CREAT | O_TRUNC);
	uint64_t words[512];

	if (fd < 0 || ftruncate(fd, (off_t)size))
		return -1;
	for (uint64_t at = 0; at < size; at += PAGE) {
		uint64_t length = size - at < PAGE ? size - at : PAGE;

		if (at >= hole_start && at < hole_end)
			continue;
		for (uint64_t i = 0; i < 512; i++)
			words[i] = word_at(at / 8 + i);
		if (pwrite(fd, words, length, (off_t)at) != (ssize_t)length)
			return -1;
	}
	return close(fd);
}

static int generate(uint64_t touch_bytes)
{
	int err = make_file("huge", HUGE_BYTES, 0, 0) || make_file("small", SMALL_BYTES, 0, 0) ||
		  make_file("sparse", SPARSE_BYTES, HOLE_START, HOLE_END) ||
		  (touch_bytes && make_file("touch", touch_bytes, 0, 0));

	if (err)
		fprintf(stderr, "mapcheck: cannot write in %s: %s\n", dir, strerror(errno));
	return err ? 1 : 0;
}

static int print_frame(const char *path, uint64_t offset)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *map = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)(offset / PAGE * PAGE));

	if (map == MAP_FAILED) {
		fprintf(stderr, "mapcheck: %s: %s\n", path, strerror(errno));
		return 1;
	}
	printf("0x%lx %02x\n", (unsigned long)(*(volatile uint8_t *)map, page_frame(map)), map[offset % PAGE]);
	return 0;
}

/* A page of the file in a pipe, and nothing else of the file: no mapping, no descriptor. */
static int hold(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), pipes[2];
	uint8_t *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), page[PAGE];
	struct iovec part = { map, PAGE };
	char line[16];

	if (map == MAP_FAILED || pipe(pipes) || vmsplice(pipes[1], &part, 1, 0) != PAGE) {
		fprintf(stderr, "mapcheck: %s: %s\n", path, strerror(errno));
		return 1;
	}
	munmap(map, PAGE);
	close(fd);
	printf("held\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	if (read(pipes[0], page, PAGE) != PAGE || !same(page, 0, PAGE)) {
		printf("FAIL other bytes in the pipe\n");
		return 1;
	}
	printf("intact\n");
	return 0;
}

static int dump(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *map = mmap(NULL, 64 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

	if (map == MAP_FAILED)
		return 1;
	(void)*(volatile uint8_t *)map;	/* one fault: the dump brings in the rest */
	abort();
}

int main(int argc, char **argv)
{
	dir = argc > 2 ? argv[2] : NULL;
	if (argc >= 3 && !strcmp(argv[1], "generate"))
		return generate(argc > 3 ? strtoull(argv[3], NULL, 0) : 0);
	if (argc == 4 && !strcmp(argv[1], "run")) {
		scratch = argv[3];
		return run();
	}
	if (argc == 4 && !strcmp(argv[1], "pfn"))
		return print_frame(argv[2], strtoull(argv[3], NULL, 0));
	if (argc == 3 && !strcmp(argv[1], "dump"))
		return dump(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "hold"))
		return hold(argv[2]);
	fprintf(stderr, "usage: mapcheck generate DIR [BYTES] | run DIR SCRATCH | pfn FILE OFFSET | dump FILE | "
		"hold FILE\n");
	return 2;
}
