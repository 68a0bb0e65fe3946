// SPDX-License-Identifier: Apache-2.0
/*
 * What a filesystem does when the kernel has no memory for it: each step with its first allocation refused, with its
 * second, and so on until one is through without a refusal. A step may fail with ENOMEM, or not at all; what it shows
 * has to be true. The kernel needs CONFIG_FAULT_INJECTION; who calls sets up failslab and fail_page_alloc.
 *
 *   failnth mount SOURCE TYPE OPTIONS TARGET   mount and unmount
 *   failnth use DIR                            of a mounted tree: find, stat, list, read and map every file in DIR
 *
 * Prints how many refusals there were, and how many of them were seen.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MOST 20000
#define PAGE 4096

static const char *const *words;
static int fail_nth;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Nothing is refused from here on; whether the refusal asked for has happened. */
static bool end_refusals(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) < 0 || pwrite(fail_nth, "0", 1, 0) != 1)
		die("/proc/self/fail-nth");
	return atoi(text) == 0;
}

static int mount_once(void)
{
	if (mount(words[0], words[3], words[1], MS_RDONLY, words[2]))
		return -errno;
	while (umount2(words[3], 0))
		if (errno != ENOMEM)	/* refused once: it is still mounted */
			return -errno;
	return 0;
}

/* The sum of a file's bytes, by read() and by a mapping, which must be the same; or an error. */
static int64_t sum_of(int fd, size_t size)
{
	static uint8_t buffer[16 * PAGE];
	uint64_t read_sum = 0, map_sum = 0;
	const uint8_t *map;
	size_t done = 0;
	ssize_t got;

	while ((got = pread(fd, buffer, sizeof(buffer), (off_t)done)) > 0) {
		for (ssize_t i = 0; i < got; i += PAGE)
			read_sum = read_sum * 31 + buffer[i];
		done += (size_t)got;
	}
	if (got < 0)
		return -errno;
	if (done != size)
		return -EIO;
	if (!size)
		return 0;
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	for (size_t at = 0; at < size; at += PAGE)
		map_sum = map_sum * 31 + map[at];
	munmap((void *)map, size);
	return map_sum == read_sum ? (int64_t)(map_sum >> 1) : -EIO;
}

static int64_t look_at(int directory, const char *name)
{
	char text[256];
	struct stat stat;
	int64_t sum;
	int fd;

	if (fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (S_ISLNK(stat.st_mode))
		return readlinkat(directory, name, text, sizeof(text)) < 0 ? -errno : 1;
	if (!S_ISREG(stat.st_mode))
		return 1;
	fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	sum = flistxattr(fd, text, sizeof(text)) < 0 && errno != ERANGE ? -errno : sum_of(fd, (size_t)stat.st_size);
	close(fd);
	return sum;
}

/* 0 if all is there and as it was the first time. */
static int use_once(void)
{
	static int64_t expected = -1;
	int64_t total = 0, found;
	struct dirent *entry;
	DIR *directory = opendir(words[0]);

	if (!directory)
		return -errno;
	for (errno = 0; (entry = readdir(directory)); errno = 0) {
		found = look_at(dirfd(directory), entry->d_name);
		if (found < 0) {
			closedir(directory);
			return (int)found;
		}
		total += found;
	}
	found = -errno;
	closedir(directory);
	if (found)
		return (int)found;
	if (expected < 0)
		expected = total;
	return total == expected ? 0 : -EILSEQ;
}

int main(int argc, char **argv)
{
	int (*step)(void) = argc == 6 && !strcmp(argv[1], "mount") ? mount_once :
			    argc == 3 && !strcmp(argv[1], "use") ? use_once : NULL;
	int number, seen = 0, err;
	char text[16];

	if (!step) {
		fprintf(stderr, "usage: failnth mount SOURCE TYPE OPTIONS TARGET\n       failnth use DIR\n");
		return 2;
	}
	words = (const char *const *)argv + 2;
	fail_nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		die("/proc/self/fail-nth");
	err = step();
	if (err) {
		fprintf(stderr, "failnth: before any refusal: %s\n", strerror(-err));
		return 1;
	}
	for (number = 1; number <= MOST; number++) {
		int length = snprintf(text, sizeof(text), "%d", number);

		/* What is cached needs no memory: most of what a use takes is had anew this way. */
		if (step == use_once && system("echo 2 > /proc/sys/vm/drop_caches"))
			die("drop_caches");
		if (pwrite(fail_nth, text, (size_t)length, 0) != length)
			die("/proc/self/fail-nth");
		err = step();
		if (!end_refusals())
			break;
		if (err && err != -ENOMEM) {
			fprintf(stderr, "failnth: refusal %d: %s\n", number, strerror(-err));
			return 1;
		}
		seen += err != 0;
	}
	if (err) {
		fprintf(stderr, "failnth: without a refusal: %s\n", strerror(-err));
		return 1;
	}
	printf("%d %d\n", number - 1, seen);
	return number > MOST;
}
