// SPDX-License-Identifier: Apache-2.0
/*
 * How files are read and mapped up to their borders and beyond, checked one by one. The folder is
 * one that rocheck has made.
 *
 *   readcheck run DIR SCRATCH [CHECK...]  run these checks, or all
 *   readcheck keep FILE                   keep it open and mapped; for each line of standard input
 *                                         say whether both still hold its bytes
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#include "check.h"

#define UNTOUCHED 0xa5
#define KILL_AFTER_US 50000
#define KILL_SECONDS 20		/* a loaded machine that emulates another */
#define SIGNAL_EVERY_US 700

static sigjmp_buf jump;
static volatile sig_atomic_t signals, bus_code;

/* ---- mapped ---- */

static void on_bus(int number, siginfo_t *info, void *context)
{
	(void)context;
	bus_code = info->si_code;
	siglongjmp(jump, number);
}

/* Is there a SIGBUS when the byte is read, or written? */
static int bus(volatile uint8_t *at, int writing)
{
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO }, old;
	volatile int came = 0;

	bus_code = 0;
	sigaction(SIGBUS, &action, &old);
	if (sigsetjmp(jump, 1))
		came = bus_code == BUS_ADRERR;
	else if (writing)
		*at = 1;
	else
		(void)*at;
	sigaction(SIGBUS, &old, NULL);
	return came;
}

/* Does a system call find nothing there? */
static int refused_to_pipe(const void *at)
{
	int pipes[2], refused;

	if (pipe2(pipes, O_CLOEXEC))
		return 0;
	refused = write(pipes[1], at, 1) < 0 && errno == EFAULT;
	close(pipes[0]);
	close(pipes[1]);
	return refused;
}

/* At a multiple of 2 MiB, where huge entries are possible, or a page behind one. */
static uint8_t *map_size(int fd, uint64_t length, uint64_t shift, int protection, int flags)
{
	uint8_t *space =
		mmap(NULL, length + 3 * CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = (uint8_t *)(((uintptr_t)space + CHUNK - 1) & ~(CHUNK - 1)) + shift;

	return mmap(at, length, protection, flags | MAP_FIXED, fd, 0);
}

static void past_end_of(uint64_t size, uint64_t shift, int flags)
{
	uint64_t end = (size + PAGE - 1) & ~(PAGE - 1), length = end + 2 * CHUNK;
	int writing = flags == MAP_PRIVATE, fd = open_in(size_name(size), O_RDONLY);
	int protection = writing ? PROT_READ | PROT_WRITE : PROT_READ;
	uint8_t *map = map_size(fd, length, shift, protection, flags);
	uint8_t *again = map_size(fd, length, shift, protection, flags);
	unsigned long id = size;

	EXPECT(map != MAP_FAILED && again != MAP_FAILED, "%lu bytes: %s", id, strerror(errno));
	EXPECT(bus(map + end, 0), "%lu bytes: no SIGBUS behind the end of an untouched mapping",
	       id);
	EXPECT(same(map, 0, size), "%lu bytes: bytes differ", id);
	EXPECT(all(map + size, 0, end - size), "%lu bytes: no zeros up to the end of the page", id);
	for (int i = 0; i < 2; i++) {
		EXPECT(bus(map + end, writing && i), "%lu bytes: no SIGBUS behind the end", id);
		EXPECT(bus(map + end + PAGE - 1, 0), "%lu bytes: no SIGBUS at that page's end", id);
		EXPECT(bus(map + end + PAGE, writing && i), "%lu bytes: no SIGBUS a page on", id);
		EXPECT(bus(map + length - 1, 0), "%lu bytes: no SIGBUS at the mapping's end", id);
	}
	EXPECT(refused_to_pipe(map + end), "%lu bytes: a system call reads behind the end", id);
	EXPECT(!madvise(again, length, MADV_WILLNEED), "%lu bytes: %s", id, strerror(errno));
	EXPECT(madvise(again, length, MADV_POPULATE_READ), "%lu bytes: populated behind the end",
	       id);
	EXPECT(same(again, 0, size) && all(again + size, 0, end - size), "%lu bytes: populated",
	       id);
	if (writing && size % PAGE) {
		map[size] = 7;		/* the rest of the page is this mapping's own */
		EXPECT(map[size] == 7 && same(map, 0, size), "%lu bytes: a private write", id);
		EXPECT(again[size] == 0, "%lu bytes: a private write is seen elsewhere", id);
	}
	munmap(map, length);
	munmap(again, length);
	close(fd);
}

static const int kinds[] = { MAP_SHARED, MAP_PRIVATE };

static void check_past_end(void)
{
	for (size_t i = 0; i < COUNT(sizes); i++)
		for (size_t j = 0; j < COUNT(kinds) && !failed; j++)
			past_end_of(sizes[i], PAGE, kinds[j]);
	snprintf(detail, sizeof(detail), "sizes=%zu", COUNT(sizes));
}

/* Where huge entries are possible: they would show more than there is of the file. */
static void check_past_end_huge(void)
{
	for (size_t i = 0; i < COUNT(sizes); i++)
		for (size_t j = 0; j < COUNT(kinds) && !failed; j++)
			past_end_of(sizes[i], 0, kinds[j]);
}

/* What is in core of a mapping of 40 pages of a file that nobody has touched by it. */
static void check_mincore(void)
{
	int fd = open_in("size-2097153", O_RDONLY);
	uint8_t *map = mmap(NULL, 40 * PAGE, PROT_READ, MAP_SHARED, fd, 0), in_core[40];

	EXPECT(!mincore(map, 40 * PAGE, in_core), "%s", strerror(errno));
	EXPECT(all(in_core, kind() == DAXFS || kind() == OVERLAY ? 0 : 1, 40), "before a touch");
	(void)*(volatile uint8_t *)map;
	EXPECT(!mincore(map, 40 * PAGE, in_core) && in_core[0] == 1, "behind a touch");
	EXPECT(mincore(map + 1, PAGE, in_core) && errno == EINVAL, "not at a page's start");
	munmap(map, 40 * PAGE);
	EXPECT(mincore(map, PAGE, in_core) && errno == ENOMEM, "of nothing");
	close(fd);
}

static void check_advice(void)
{
	static const int advice[] = { POSIX_FADV_NORMAL,     POSIX_FADV_RANDOM,
				      POSIX_FADV_SEQUENTIAL, POSIX_FADV_WILLNEED,
				      POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE };
	int fd = open_in("large", O_RDONLY), folder = open_in("deep", O_RDONLY);
	uint8_t page[PAGE];

	for (size_t i = 0; i < COUNT(advice); i++)
		EXPECT(!posix_fadvise(fd, PAGE, CHUNK, advice[i]), "fadvise %zu", i);
	EXPECT(!posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), "fadvise of all");
	EXPECT(posix_fadvise(fd, 0, 0, 99) == EINVAL, "unknown advice");
	EXPECT(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL) == EINVAL, "negative length");
	EXPECT(!readahead(fd, 0, LARGE_BYTES), "readahead: %s", strerror(errno));
	EXPECT(!readahead(fd, 2 * LARGE_BYTES, PAGE), "readahead behind the end: %s",
	       strerror(errno));
	EXPECT(readahead(folder, 0, PAGE) && errno == EINVAL, "readahead of a directory");
	EXPECT(!sync_file_range(fd, 0, PAGE, SYNC_FILE_RANGE_WRITE), "sync: %s", strerror(errno));
	EXPECT(pread(fd, page, PAGE, CHUNK) == PAGE && same(page, CHUNK, PAGE), "bytes differ");
	close(fd);
	close(folder);
}

/* ---- read ---- */

static void read_at(int fd, uint64_t size, uint64_t offset, uint64_t count)
{
	static uint8_t buffer[CHUNK + 2 * PAGE];
	uint64_t wanted = expected_at(size, offset, count);
	ssize_t got;

	memset(buffer, UNTOUCHED, count + 16);
	got = pread(fd, buffer, count, offset);
	EXPECT(got == (ssize_t)wanted, "%lu bytes at %lu of %lu: %zd", (unsigned long)count,
	       (unsigned long)offset, (unsigned long)size, got);
	EXPECT(same(buffer, offset, got), "%lu bytes at %lu of %lu: bytes differ",
	       (unsigned long)count, (unsigned long)offset, (unsigned long)size);
	EXPECT(all(buffer + got, UNTOUCHED, count + 16 - got),
	       "%lu bytes at %lu of %lu: written behind", (unsigned long)count,
	       (unsigned long)offset, (unsigned long)size);
	EXPECT(lseek(fd, offset, SEEK_SET) == (off_t)offset && read(fd, buffer, count) == got &&
	       lseek(fd, 0, SEEK_CUR) == (off_t)(offset + got), "the position is another");
}

static void read_sizes(int flags)
{
	static const uint64_t counts[] = {
		0, 1, 511, PAGE - 1, PAGE, PAGE + 1, CHUNK, CHUNK + PAGE
	};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		const uint64_t size = sizes[i];
		const uint64_t offsets[] = { 0,
					     1,
					     PAGE - 1,
					     PAGE,
					     PAGE + 1,
					     size,
					     size + 1,
					     size + CHUNK,
					     size ? size - 1 : 0,
					     size > PAGE ? size - PAGE : 0 };
		int fd = open_in(size_name(size), O_RDONLY | flags);

		EXPECT(fd >= 0, "%s: %s", size_name(size), strerror(errno));
		for (size_t j = 0; j < COUNT(offsets) && !failed; j++)
			for (size_t k = 0; k < COUNT(counts) && !failed; k++)
				read_at(fd, size, offsets[j], counts[k]);
		close(fd);
	}
}

static void check_borders(void)
{
	read_sizes(0);
}

static void check_direct(void)
{
	int fd = open_in("size-1", O_RDONLY | O_DIRECT);

	snprintf(detail, sizeof(detail), "%s", fd < 0 ? "no O_DIRECT" : "at any byte");
	EXPECT(fd >= 0 || (errno == EINVAL && kind() == TMPFS && kernel_before(6, 6)), "open: %s",
	       strerror(errno));
	close(fd);
	if (fd >= 0)
		read_sizes(O_DIRECT);
}

/* Counts and offsets that no file has. The buffer lies low, so that a huge count is an address. */
static void check_huge_counts(void)
{
	uint8_t *buffer = mmap((void *)(1UL << 32), LARGE_BYTES + PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	int fd = open_in("large", O_RDONLY);
	volatile size_t most = SIZE_MAX;
	off_t last = INT64_MAX;

	EXPECT(buffer != MAP_FAILED, "%s", strerror(errno));
	EXPECT(pread(fd, buffer, 1UL << 40, 0) == (ssize_t)LARGE_BYTES, "1 TiB: %s",
	       strerror(errno));
	EXPECT(same(buffer, 0, LARGE_BYTES), "bytes differ");
	EXPECT(pread(fd, buffer, 1UL << 40, LARGE_BYTES - 9) == 9, "1 TiB at the end");
	EXPECT(pread(fd, buffer, 1UL << 40, LARGE_BYTES) == 0, "1 TiB behind the end");
	EXPECT(pread(fd, buffer, most, 0) < 0, "SIZE_MAX");
	EXPECT(pread(fd, buffer, PAGE, -1) < 0 && errno == EINVAL, "offset -1");
	EXPECT(pread(fd, buffer, PAGE, last - PAGE) == 0, "the last offset: %s", strerror(errno));
	EXPECT(pread(fd, buffer, PAGE, last) < 0, "beyond the last offset");
	EXPECT(lseek(fd, last, SEEK_SET) == last && read(fd, buffer, 0) == 0,
	       "read of nothing there");
	EXPECT(lseek(fd, 1, SEEK_CUR) < 0 && lseek(fd, -1, SEEK_SET) < 0, "seek beyond");
	EXPECT(lseek(fd, -9, SEEK_END) == LARGE_BYTES - 9 && read(fd, buffer, PAGE) == 9,
	       "SEEK_END");
	munmap(buffer, LARGE_BYTES + PAGE);
	close(fd);
}

static void check_segments(void)
{
	struct iovec parts[1025];
	static uint8_t buffer[1025 * 8];
	uint64_t total = 0, at = 0;
	int fd = open_in("large", O_RDONLY);

	for (int i = 0; i < 1025; i++) {	/* of 0 to 6 bytes, with gaps between them */
		parts[i] = (struct iovec){ buffer + 8 * i, i % 7 };
		total += i < 1024 ? i % 7 : 0;
	}
	memset(buffer, UNTOUCHED, sizeof(buffer));
	EXPECT(preadv(fd, parts, 1024, CHUNK - 100) == (ssize_t)total, "%s", strerror(errno));
	for (int i = 0; i < 1024; at += i++ % 7)
		EXPECT(same(buffer + 8 * i, CHUNK - 100 + at, i % 7) &&
		       all(buffer + 8 * i + i % 7, UNTOUCHED, 8 - i % 7), "segment %d", i);
	EXPECT(preadv(fd, parts, 1024, LARGE_BYTES - 50) == 50, "across the end");
	EXPECT(preadv(fd, parts, 1024, LARGE_BYTES) == 0, "at the end");
	EXPECT(preadv(fd, parts, 1025, 0) < 0 && errno == EINVAL, "1025 segments");
	EXPECT(preadv(fd, parts, 0, 0) == 0, "no segment: %s", strerror(errno));
	EXPECT(lseek(fd, 77, SEEK_SET) == 77 && preadv2(fd, parts, 5, -1, 0) == 10 &&
	       lseek(fd, 0, SEEK_CUR) == 87, "preadv2 at the position: %s", strerror(errno));
	EXPECT(preadv2(fd, parts, 5, 0, 1 << 30) < 0 && errno == EOPNOTSUPP, "unknown flag");
	close(fd);
}

/* The bytes up to where the reader's memory ends, then EFAULT; a copy may stop a word earlier. */
static void bad_buffers_of(const char *name, uint64_t offset, int hole)
{
	uint8_t *memory =
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec parts[2] = { { memory, PAGE }, { memory + 2 * PAGE, PAGE } };
	void *volatile nowhere = (void *)8, *volatile kernel = (void *)-8;
	int fd = open_in(name, O_RDONLY);
	ssize_t got;

	mprotect(memory + 2 * PAGE, PAGE, PROT_NONE);
	mprotect(memory + 3 * PAGE, PAGE, PROT_READ);
	got = pread(fd, memory, 3 * PAGE, offset);
	EXPECT(got == 2 * PAGE, "%s: two pages of three: %zd", name, got);
	EXPECT(hole ? all(memory, 0, got) : same(memory, offset, got), "%s: bytes differ", name);
	lseek(fd, offset, SEEK_SET);
	memset(memory + PAGE, UNTOUCHED, PAGE);
	got = read(fd, memory + 2 * PAGE - 100, PAGE);
	EXPECT(got > 92 && got <= 100, "%s: 100 bytes of a page: %zd", name, got);
	EXPECT(hole ? all(memory + 2 * PAGE - 100, 0, got)
		    : same(memory + 2 * PAGE - 100, offset, got),
	       "%s: bytes of a part differ", name);
	EXPECT(lseek(fd, 0, SEEK_CUR) == (off_t)offset + got, "%s: position behind a part", name);
	EXPECT(read(fd, memory + 2 * PAGE, PAGE) < 0 && errno == EFAULT, "%s: PROT_NONE", name);
	EXPECT(read(fd, memory + 3 * PAGE, 1) < 0 && errno == EFAULT, "%s: PROT_READ", name);
	EXPECT(read(fd, nowhere, 1) < 0 && errno == EFAULT, "%s: no memory", name);
	EXPECT(read(fd, kernel, 1) < 0 && errno == EFAULT, "%s: the kernel's memory", name);
	EXPECT(read(fd, nowhere, 0) == 0, "%s: nothing into no memory: %s", name,
	       strerror(errno));
	EXPECT(lseek(fd, 0, SEEK_CUR) == (off_t)offset + got, "%s: position behind EFAULT", name);
	EXPECT(preadv(fd, parts, 2, offset) == PAGE, "%s: a good segment and a bad one", name);
	EXPECT(preadv(fd, parts + 1, 1, offset) < 0 && errno == EFAULT, "%s: a bad segment", name);
	munmap(memory, 4 * PAGE);
	close(fd);
}

static void check_bad_buffers(void)
{
	bad_buffers_of("large", CHUNK - PAGE, 0);
	if (!failed)
		bad_buffers_of("size-2097153", 5, 0);
	if (!failed)
		bad_buffers_of("wide", CHUNK, 1);
}

/* ---- signals ---- */

static void on_alarm(int number)
{
	(void)number;
	signals++;
}

/* Signals all the time: all is read, or a part, or EINTR before the first byte; no other bytes. */
static void read_with_signals(uint8_t *buffer, const uint8_t *wanted, int flags, int *parts)
{
	struct itimerval timer = { { 0, SIGNAL_EVERY_US }, { 0, SIGNAL_EVERY_US } }, off = { 0 };
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
	int fd = open_in("large", O_RDONLY);

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (int i = 0; i < 20 && !failed; i++) {
		ssize_t got = pread(fd, buffer, LARGE_BYTES, 0);

		if (got < 0 && errno != EINTR)
			fail("%s", strerror(errno));
		else if (got == 0 || memcmp(buffer, wanted, got < 0 ? 0 : got))
			fail("bytes differ of %zd", got);
		*parts += got != (ssize_t)LARGE_BYTES;
		memset(buffer, UNTOUCHED, 64 * PAGE);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	close(fd);
}

static void check_signals(void)
{
	uint8_t *buffer = malloc(LARGE_BYTES), *wanted = malloc(LARGE_BYTES);
	int parts = 0;

	for (uint64_t i = 0; i < LARGE_BYTES; i++)
		wanted[i] = byte_at(i);
	signals = 0;
	read_with_signals(buffer, wanted, 0, &parts);
	if (!failed)
		read_with_signals(buffer, wanted, SA_RESTART, &parts);
	free(buffer);
	free(wanted);
	snprintf(detail, sizeof(detail), "reads=40 signals=%d parts=%d", (int)signals, parts);
	EXPECT(signals > 10, "%d signals", (int)signals);
}

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* How long a process lives that is killed while it reads: @repeats times the same memory. */
static double killed_after(const char *name, uint64_t length, int repeats)
{
	uint8_t *buffer = mmap(NULL, length, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct iovec parts[1024];
	int fd = open_in(name, O_RDONLY), status = 0;
	pid_t child;
	double since;

	for (int i = 0; i < repeats; i++)
		parts[i] = (struct iovec){ buffer, length };
	child = fork();
	if (!child)
		while (preadv(fd, parts, repeats, 0) > 0)
			;
	usleep(KILL_AFTER_US);
	since = seconds();
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	close(fd);
	munmap(buffer, length);
	return WIFSIGNALED(status) ? seconds() - since : -1;
}

static void check_killed(void)
{
	double data = killed_after("large", LARGE_BYTES, 1);
	double hole = killed_after("wide", 1UL << 20, 1024);

	snprintf(detail, sizeof(detail), "read of 24 MiB ended in %.3f s, of 1 GiB in %.3f s", data,
		 hole);
	EXPECT(data >= 0 && data < KILL_SECONDS, "data: %.3f s", data);
	EXPECT(hole >= 0 && hole < KILL_SECONDS, "a hole: %.3f s", hole);
}

static const struct check checks[] = {
	{ "past-end", check_past_end, NULL },
	{ "past-end-huge", check_past_end_huge, NULL },
	{ "mincore", check_mincore, "there is no page cache: a page is in core once it is mapped" },
	{ "advice", check_advice, NULL },
	{ "borders", check_borders, NULL },
	{ "direct", check_direct, "tmpfs has O_DIRECT from Linux 6.6 on" },
	{ "huge-counts", check_huge_counts, NULL },
	{ "segments", check_segments, NULL },
	{ "bad-buffers", check_bad_buffers, NULL },
	{ "signals", check_signals, NULL },
	{ "killed", check_killed, NULL },
};

static int keep(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *map = mmap(NULL, LARGE_BYTES, PROT_READ, MAP_SHARED, fd, 0),
		*buffer = malloc(LARGE_BYTES);
	char line[16];

	if (map == MAP_FAILED) {
		fprintf(stderr, "readcheck: %s: %s\n", path, strerror(errno));
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("kept\n");
	while (fgets(line, sizeof(line), stdin)) {
		int good = pread(fd, buffer, LARGE_BYTES, 0) == (ssize_t)LARGE_BYTES &&
			   same(buffer, 0, LARGE_BYTES) && same(map, 0, LARGE_BYTES);

		madvise(map, LARGE_BYTES, MADV_DONTNEED);	/* next time it is mapped anew */
		printf("%s %s", good ? "same" : "other", line);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "keep"))
		return keep(argv[2]);
	if (argc >= 4 && !strcmp(argv[1], "run")) {
		dir = argv[2];
		scratch = argv[3];
		return run_checks(checks, COUNT(checks), argv + 4, argc - 4);
	}
	fprintf(stderr, "usage: readcheck run DIR SCRATCH [CHECK...] | keep FILE\n");
	return 2;
}
