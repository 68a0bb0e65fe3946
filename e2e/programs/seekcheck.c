// SPDX-License-Identifier: Apache-2.0
/*
 * Positions in files and directories: where data and holes begin, what is sent without a buffer,
 * how a large directory is listed in small pieces and from remembered places on. The folder is one
 * that rocheck has made.
 *
 *   seekcheck run DIR SCRATCH [CHECK...]  run these checks, or all
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "check.h"

#define EVERY 97

/* ---- data and holes ---- */

static void check_seek(void)
{
	static const struct { const char *name; int whence; off_t offset, wanted; } cases[] = {
		{ "size-0", SEEK_DATA, 0, -ENXIO },
		{ "size-0", SEEK_HOLE, 0, -ENXIO },
		{ "size-1", SEEK_DATA, 0, 0 },
		{ "size-1", SEEK_HOLE, 0, 1 },
		{ "size-1", SEEK_DATA, 1, -ENXIO },
		{ "size-1", SEEK_HOLE, 1, -ENXIO },
		{ "size-4097", SEEK_DATA, PAGE, PAGE },
		{ "size-4097", SEEK_HOLE, 0, PAGE + 1 },
		{ "size-4097", SEEK_HOLE, PAGE, PAGE + 1 },
		{ "large", SEEK_HOLE, 5, LARGE_BYTES },
		{ "large", SEEK_DATA, LARGE_BYTES - 1, LARGE_BYTES - 1 },
		{ "large", SEEK_DATA, -1, -ENXIO },
		{ "large", SEEK_HOLE, -1, -ENXIO },
		{ "large", SEEK_DATA, INT64_MAX, -ENXIO },
		{ "wide", SEEK_DATA, 0, -ENXIO },
		{ "wide", SEEK_HOLE, 0, 0 },
		{ "wide", SEEK_HOLE, WIDE_BYTES - 1, WIDE_BYTES - 1 },
		{ "wide", SEEK_DATA, WIDE_BYTES - 1, -ENXIO },
		{ "wide", SEEK_HOLE, WIDE_BYTES, -ENXIO },
		{ "sparse", SEEK_DATA, 0, 0 },
		{ "sparse", SEEK_HOLE, 0, SPARSE_HOLE },
		{ "sparse", SEEK_DATA, SPARSE_HOLE - 1, SPARSE_HOLE - 1 },
		{ "sparse", SEEK_HOLE, SPARSE_HOLE - 1, SPARSE_HOLE },
		{ "sparse", SEEK_DATA, SPARSE_HOLE, SPARSE_DATA },
		{ "sparse", SEEK_HOLE, SPARSE_HOLE, SPARSE_HOLE },
		{ "sparse", SEEK_DATA, SPARSE_DATA - 1, SPARSE_DATA },
		{ "sparse", SEEK_HOLE, SPARSE_DATA - 1, SPARSE_DATA - 1 },
		{ "sparse", SEEK_DATA, SPARSE_DATA, SPARSE_DATA },
		{ "sparse", SEEK_HOLE, SPARSE_DATA, SPARSE_END },
		{ "sparse", SEEK_HOLE, SPARSE_END - 1, SPARSE_END },
		{ "sparse", SEEK_DATA, SPARSE_END, -ENXIO },
		{ "sparse", SEEK_HOLE, SPARSE_END, SPARSE_END },
		{ "sparse", SEEK_HOLE, SPARSE_BYTES - 1, SPARSE_BYTES - 1 },
		{ "sparse", SEEK_DATA, SPARSE_BYTES - 1, -ENXIO },
		{ "sparse", SEEK_HOLE, SPARSE_BYTES, -ENXIO },
		{ "sparse", 77, 0, -EINVAL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int fd = open_in(cases[i].name, O_RDONLY);
		off_t found = lseek(fd, cases[i].offset, cases[i].whence);

		found = found < 0 ? -errno : found;
		EXPECT(found == cases[i].wanted, "%s: %s of %ld: %ld, not %ld", cases[i].name,
		       cases[i].whence == SEEK_DATA ? "SEEK_DATA" : "SEEK_HOLE",
		       (long)cases[i].offset, (long)found, (long)cases[i].wanted);
		EXPECT(lseek(fd, 0, SEEK_CUR) == (found < 0 ? 0 : found), "%s: the position",
		       cases[i].name);
		close(fd);
	}
	snprintf(detail, sizeof(detail), "seeks=%zu", COUNT(cases));
}

/* ---- without a buffer ---- */

static void sent(uint64_t size, uint64_t offset, uint64_t count)
{
	int in = open_in(size_name(size), O_RDONLY), out = open(scratch, O_TMPFILE | O_RDWR, 0600);
	uint64_t wanted = expected_at(size, offset, count);
	static uint8_t back[CHUNK + PAGE];
	off_t at = offset;
	ssize_t got = 0, total = 0;

	while ((got = sendfile(out, in, &at, count - total)) > 0 && (total += got) < (ssize_t)count)
		;
	EXPECT(got >= 0 && total == (ssize_t)wanted, "sendfile of %lu at %lu of %lu: %zd %s",
	       (unsigned long)count, (unsigned long)offset, (unsigned long)size, total,
	       strerror(errno));
	EXPECT(at == (off_t)(offset + wanted), "sendfile: offset %ld", (long)at);
	EXPECT(pread(out, back, sizeof(back), 0) == total && same(back, offset, total),
	       "sendfile of %lu at %lu: bytes differ", (unsigned long)size, (unsigned long)offset);
	close(in);
	close(out);
}

static void spliced(const char *name, uint64_t offset, int hole)
{
	int in = open_in(name, O_RDONLY), pipes[2];
	static uint8_t back[CHUNK];
	loff_t at = offset, negative = -1, end = 1L << 40;
	ssize_t got;

	EXPECT(!pipe2(pipes, O_CLOEXEC | O_NONBLOCK), "pipe");
	got = splice(in, &at, pipes[1], NULL, CHUNK, SPLICE_F_NONBLOCK);
	EXPECT(got > 0 && at == (loff_t)offset + got, "splice of %s: %zd %s", name, got,
	       strerror(errno));
	EXPECT(splice(in, &at, pipes[1], NULL, 1, SPLICE_F_NONBLOCK) < 0 && errno == EAGAIN,
	       "splice of %s into a full pipe", name);
	EXPECT(read(pipes[0], back, CHUNK) == got, "%s: less in the pipe", name);
	EXPECT(hole ? all(back, 0, got) : same(back, offset, got), "splice of %s: bytes differ",
	       name);
	EXPECT(splice(in, &end, pipes[1], NULL, PAGE, 0) == 0, "splice behind the end");
	EXPECT(splice(in, &negative, pipes[1], NULL, PAGE, 0) < 0, "splice of a negative offset");
	close(pipes[0]);
	close(pipes[1]);
	close(in);
}

static void check_sendfile(void)
{
	int in = open_in("large", O_RDONLY), out = open(scratch, O_TMPFILE | O_RDWR, 0600);

	for (size_t i = 0; i < COUNT(sizes) && !failed; i++) {
		uint64_t size = sizes[i];

		sent(size, 0, size + PAGE);
		sent(size, size ? size - 1 : 0, PAGE);
		sent(size, size, PAGE);
		sent(size, size + 5, PAGE);
		sent(size, 0, 0);
	}
	spliced("large", CHUNK - 100, 0);
	spliced("wide", CHUNK - 100, 1);
	EXPECT(copy_file_range(in, NULL, out, NULL, PAGE, 0) < 0 && errno == EXDEV,
	       "copy_file_range to another filesystem: %s", strerror(errno));
	EXPECT(copy_file_range(in, NULL, in, NULL, PAGE, 0) < 0 && errno == EBADF,
	       "copy into itself");
	close(in);
	close(out);
}

/* ---- directories ---- */

struct listing {
	uint8_t seen[MANY];
	int names, dots, wrong;
};

/* Takes down an entry of the directory `many`. */
static void note(struct listing *listing, const char *name, uint8_t type)
{
	int number;
	char end;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		listing->dots++;
	else if (sscanf(name, "%5d%c", &number, &end) != 1 || number < 0 || number >= MANY ||
		 listing->seen[number]++ || (type != DT_REG && type != DT_UNKNOWN))
		listing->wrong++;
	else
		listing->names++;
}

static int complete(const struct listing *listing)
{
	return listing->names == MANY && listing->dots == 2 && !listing->wrong;
}

/* One call of getdents64() with a buffer of so many bytes; what it returns. */
static long list_some(int fd, size_t size, struct listing *listing)
{
	static char buffer[65536] __attribute__((aligned(8)));
	long got = syscall(SYS_getdents64, fd, buffer, size);

	for (long at = 0; at < got;) {
		struct dirent64 *entry = (struct dirent64 *)(buffer + at);

		note(listing, entry->d_name, entry->d_type);
		at += entry->d_reclen;
	}
	return got;
}

static void list_all(int fd, size_t size, struct listing *listing)
{
	memset(listing, 0, sizeof(*listing));
	while (list_some(fd, size, listing) > 0)
		;
}

static void check_directory(void)
{
	static const size_t buffers[] = { 32, 33, 63, 280, 4096, 32768, 65536 };
	static struct listing listing;
	int fd = open_in("many", O_RDONLY | O_DIRECTORY), file = open_in("size-1", O_RDONLY);
	char byte;

	EXPECT(list_some(fd, 23, &listing) < 0 && errno == EINVAL, "23 bytes: %s", strerror(errno));
	for (size_t i = 0; i < COUNT(buffers); i++) {
		EXPECT(lseek(fd, 0, SEEK_SET) == 0, "lseek: %s", strerror(errno));
		list_all(fd, buffers[i], &listing);
		EXPECT(complete(&listing), "by %zu bytes: %d names, %d dots, %d wrong", buffers[i],
		       listing.names, listing.dots, listing.wrong);
		EXPECT(list_some(fd, buffers[i], &listing) == 0, "more behind the end");
	}
	EXPECT(read(fd, &byte, 1) < 0 && errno == EISDIR, "read: %s", strerror(errno));
	EXPECT(list_some(file, 4096, &listing) < 0 && errno == ENOTDIR, "of a file: %s",
	       strerror(errno));
	EXPECT(syscall(SYS_getdents64, fd, NULL, 0) <= 0, "into nothing");
	EXPECT(lseek(fd, 0, SEEK_SET) == 0 && syscall(SYS_getdents64, fd, (void *)8, 4096) < 0 &&
	       errno == EFAULT, "into no memory: %s", strerror(errno));
	list_all(fd, 4096, &listing);
	EXPECT(complete(&listing), "behind EFAULT: %d names", listing.names);
	close(file);
	close(fd);
}

static void check_telldir(void)
{
	static struct { long place; char next[8]; } kept[MANY / EVERY + 1];
	DIR *folder = opendir(path_of("many"));
	struct dirent *entry;
	char first[256];
	int count = 0, places = 0;

	EXPECT(folder, "%s", strerror(errno));
	snprintf(first, sizeof(first), "%s", readdir(folder)->d_name);
	rewinddir(folder);
	for (;; count++) {
		long place = telldir(folder);

		entry = readdir(folder);
		if (!entry)
			break;
		if (count % EVERY == 0) {
			kept[places].place = place;
			snprintf(kept[places++].next, sizeof(kept[0].next), "%.7s", entry->d_name);
		}
	}
	EXPECT(count == MANY + 2, "%d entries", count);
	for (int i = places - 1; i >= 0; i--) {
		seekdir(folder, kept[i].place);
		entry = readdir(folder);
		EXPECT(entry && !strcmp(entry->d_name, kept[i].next), "at place %d is %s, was %s",
		       i, entry ? entry->d_name : "nothing", kept[i].next);
	}
	rewinddir(folder);
	entry = readdir(folder);
	EXPECT(entry && !strcmp(entry->d_name, first), "rewinddir: %s",
	       entry ? entry->d_name : "none");
	seekdir(folder, kept[places / 2].place);
	for (count = 0; readdir(folder); count++)
		;
	EXPECT(count == MANY + 2 - places / 2 * EVERY, "%d from the middle on", count);
	closedir(folder);
	snprintf(detail, sizeof(detail), "places=%d", places);
}

static void check_wild(void)
{
	static const off_t places[] = { MANY + 2, MANY + 3, 1L << 31,	   (1L << 31) - 1,
					1L << 32, 1L << 40, INT64_MAX - 1, INT64_MAX };
	static struct listing listing;
	int fd = open_in("many", O_RDONLY | O_DIRECTORY);

	EXPECT(lseek(fd, -1, SEEK_SET) < 0 && errno == EINVAL, "lseek to -1");
	EXPECT(lseek(fd, INT64_MIN, SEEK_SET) < 0 && errno == EINVAL, "lseek to the least");
	for (size_t i = 0; i < COUNT(places); i++) {
		memset(&listing, 0, sizeof(listing));
		if (lseek(fd, places[i], SEEK_SET) < 0)
			continue;	/* refused is right too */
		while (list_some(fd, 4096, &listing) > 0)
			;
		EXPECT(!listing.wrong && listing.names + listing.dots <= MANY + 2,
		       "at %lx: %d wrong", (long)places[i], listing.wrong);
		EXPECT(kind() == TMPFS || !listing.names, "at %lx: %d names", (long)places[i],
		       listing.names);
	}
	EXPECT(lseek(fd, 0, SEEK_SET) == 0, "back: %s", strerror(errno));
	list_all(fd, 4096, &listing);
	EXPECT(complete(&listing), "afterwards: %d names", listing.names);
	close(fd);
}

/* Each at its own pace: by two descriptors, by one that two share, in two processes at once. */
static void check_two_readers(void)
{
	static struct listing one, two;
	int first = open_in("many", O_RDONLY | O_DIRECTORY),
	    second = open_in("many", O_RDONLY | O_DIRECTORY);
	int shared = dup(first), status = 0, more = 1;
	pid_t child;

	while (more)
		more = (list_some(first, 64, &one) > 0) + (list_some(second, 300, &two) > 0);
	EXPECT(complete(&one) && complete(&two), "by turns: %d and %d names", one.names, two.names);
	lseek(first, 0, SEEK_SET);
	memset(&one, 0, sizeof(one));
	for (more = 1; more;)
		more = (list_some(first, 64, &one) > 0) + (list_some(shared, 300, &one) > 0);
	EXPECT(complete(&one), "shared by turns: %d names", one.names);
	child = fork();
	if (!child)
		second = open_in("many", O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 10 && !status; i++) {
		lseek(second, 0, SEEK_SET);
		list_all(second, child ? 128 : 512, &two);
		status = !complete(&two);
	}
	if (!child)
		_exit(status);
	more = status;
	waitpid(child, &status, 0);
	EXPECT(!more && !status, "at once: %d, %d", more, status);
	close(first);
	close(second);
	close(shared);
}

static void check_numbers(void)
{
	DIR *folder = opendir(dir);
	struct dirent *entry;
	struct stat found;
	int dots = 0;

	while ((entry = readdir(folder))) {
		EXPECT(!lstat(path_of(entry->d_name), &found), "%s: %s", entry->d_name,
		       strerror(errno));
		EXPECT(entry->d_type == IFTODT(found.st_mode), "%s: type %d", entry->d_name,
		       entry->d_type);
		dots += entry->d_name[0] == '.';
		EXPECT(entry->d_name[0] == '.' || kind() == OVERLAY ||
		       entry->d_ino == found.st_ino, "%s: number %lu, not %lu", entry->d_name,
		       (unsigned long)entry->d_ino, (unsigned long)found.st_ino);
	}
	EXPECT(dots == 2, "%d entries . and ..", dots);
	closedir(folder);
}

static const struct check checks[] = {
	{ "seek", check_seek, NULL },
	{ "sendfile", check_sendfile, NULL },
	{ "directory", check_directory, NULL },
	{ "telldir", check_telldir, NULL },
	{ "wild-offsets", check_wild,
	  "tmpfs may have entries at any offset, an image at 0 to their number" },
	{ "two-readers", check_two_readers, NULL },
	{ "inode-numbers", check_numbers, "OverlayFS lists directories under other numbers" },
};

int main(int argc, char **argv)
{
	if (argc >= 4 && !strcmp(argv[1], "run")) {
		dir = argv[2];
		scratch = argv[3];
		return run_checks(checks, COUNT(checks), argv + 4, argc - 4);
	}
	fprintf(stderr, "usage: seekcheck run DIR SCRATCH [CHECK...]\n");
	return 2;
}
