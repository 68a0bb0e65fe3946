// SPDX-License-Identifier: Apache-2.0
/*
 * Times reading and mapping of files, the candidates in turn within each round,
 * so that a machine that grows slower does so for all of them.
 *
 *   membench ROUNDS OPERATION[:cold] LABEL=PATH...
 *
 * OPERATION of a file: read:BLOCK:THREADS  random preads for a quarter of a second; operations per second
 *                      touch               map it, read a byte of each page; milliseconds
 *                      fork                fork and wait with it mapped and touched; milliseconds
 *                      exec                run it to its end; milliseconds
 *     of a directory:  walk                list it and all below, stat each; milliseconds
 *                      list                list it; milliseconds
 *                      lookup              stat 20 000 of its files f000000 to f099999; milliseconds
 *
 * With `:cold` the kernel is told before each measurement to drop what it caches.
 * A line a measurement: OPERATION LABEL ROUND VALUE FAULTS
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define CHUNK (2UL << 20)
#define READ_SECONDS 0.25
#define FILES 100000
#define LOOKUPS 20000

struct candidate {
	const char *label, *path;
	int fd;
	uint64_t size;
};

struct reader {
	const struct candidate *file;
	uint64_t block, random;
	unsigned long done;
};

static atomic_int stop;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *read_random(void *argument)
{
	struct reader *reader = argument;
	uint64_t blocks = reader->file->size / reader->block;
	char *buffer = aligned_alloc(PAGE, reader->block);

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		reader->random = reader->random * 6364136223846793005ULL + 1442695040888963407ULL;
		off_t at = (off_t)((reader->random >> 33) % blocks * reader->block);

		if (pread(reader->file->fd, buffer, reader->block, at) != (ssize_t)reader->block)
			die("pread");
		reader->done++;
	}
	free(buffer);
	return NULL;
}

static double reads_per_second(const struct candidate *file, uint64_t block, int threads)
{
	struct reader readers[16];
	pthread_t ids[16];
	unsigned long done = 0;
	double started = now();

	atomic_store(&stop, 0);
	for (int i = 0; i < threads; i++) {
		readers[i] = (struct reader){ file, block, 12345 + (uint64_t)i, 0 };
		if (pthread_create(&ids[i], NULL, read_random, &readers[i]))
			die("pthread_create");
	}
	usleep((useconds_t)(READ_SECONDS * 1e6));
	atomic_store(&stop, 1);
	for (int i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		done += readers[i].done;
	}
	return (double)done / (now() - started);
}

/* At a 2 MiB boundary, so that through OverlayFS too huge entries are possible. */
static char *map_file(const struct candidate *file)
{
	char *space = mmap(NULL, file->size + CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)space + CHUNK - 1) & ~(CHUNK - 1));
	char *map = mmap(at, file->size, PROT_READ, MAP_SHARED | MAP_FIXED, file->fd, 0);

	if (map == MAP_FAILED)
		die("mmap");
	return map;
}

static long touch(const char *map, uint64_t size)
{
	struct rusage before, after;
	volatile char sum = 0;

	getrusage(RUSAGE_SELF, &before);
	for (uint64_t at = 0; at < size; at += PAGE)
		sum += map[at];
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

static double fork_and_wait(void)
{
	double started = now();
	pid_t child = fork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	return now() - started;
}

static void measure_map(const char *operation, const struct candidate *file, int round)
{
	char *map = map_file(file);
	double started = now();
	long faults = touch(map, file->size);
	double seconds = now() - started;

	if (!strcmp(operation, "fork"))
		seconds = fork_and_wait();
	printf("%s %s %d %.4f %ld\n", operation, file->label, round, seconds * 1e3, faults);
	munmap(map, file->size);
}

static double run_program(const char *path)
{
	char *const argv[] = { (char *)path, NULL }, *const environment[] = { NULL };
	double started = now();
	int status, error;
	pid_t child;

	error = posix_spawn(&child, path, NULL, NULL, argv, environment);
	if (error || waitpid(child, &status, 0) != child || status) {
		fprintf(stderr, error ? "%s: not started, error %d\n" : "%s: ended with wait status %#x\n", path,
			error ? error : status);
		exit(1);
	}
	return now() - started;
}

/* Lists the directory `fd`, which it closes; with `deep` it stats all it finds and goes on below. */
static unsigned long list(int fd, bool deep)
{
	DIR *directory = fdopendir(fd);
	unsigned long found = 0;
	struct dirent *entry;
	struct stat stat;

	if (!directory)
		die("fdopendir");
	while ((entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		found++;
		if (!deep)
			continue;
		if (fstatat(fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW))
			die(entry->d_name);
		if (S_ISDIR(stat.st_mode))
			found += list(openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), true);
	}
	closedir(directory);
	return found;
}

static void look_up(int fd)
{
	uint64_t random = 1;	/* the same names each time: they are cached, or none is */
	char name[16];
	struct stat stat;

	for (int i = 0; i < LOOKUPS; i++) {
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		snprintf(name, sizeof(name), "f%06u", (unsigned int)((random >> 33) % FILES));
		if (fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW))
			die(name);
	}
}

static double measure_names(const char *operation, const struct candidate *directory)
{
	double started = now();
	unsigned long found = FILES;
	int fd = openat(AT_FDCWD, directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die(directory->path);
	if (!strcmp(operation, "lookup")) {
		look_up(fd);
		close(fd);
	} else {
		found = list(fd, !strcmp(operation, "walk"));
	}
	if (found < FILES) {
		fprintf(stderr, "%s: %lu names\n", directory->path, found);
		exit(1);
	}
	return now() - started;
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "3", 1) != 1)
		die("/proc/sys/vm/drop_caches");
	close(fd);
}

static void measure(const char *operation, bool cold, const struct candidate *file, int round)
{
	const char *how = cold ? ":cold" : "";
	unsigned long block;
	double seconds;
	int threads;

	if (cold)
		drop_caches();
	if (sscanf(operation, "read:%lu:%d", &block, &threads) == 2 && block && threads >= 1 && threads <= 16) {
		printf("%s %s %d %.1f 0\n", operation, file->label, round, reads_per_second(file, block, threads));
		return;
	}
	if (!strcmp(operation, "touch") || !strcmp(operation, "fork")) {
		measure_map(operation, file, round);
		return;
	}
	seconds = strcmp(operation, "exec") ? measure_names(operation, file) : run_program(file->path);
	if (round < 0)
		return;
	printf("%s%s %s %d %.4f 0\n", operation, how, file->label, round, seconds * 1e3);
}

int main(int argc, char **argv)
{
	struct candidate files[16];
	int rounds = argc > 3 ? atoi(argv[1]) : 0, count = argc - 3;
	char *how = argc > 3 ? strstr(argv[2], ":cold") : NULL;

	if (rounds < 1 || count > 16) {
		fprintf(stderr, "usage: membench ROUNDS read:BLOCK:THREADS|touch|fork|exec|walk|list|lookup[:cold] "
				"LABEL=PATH...\n");
		return 2;
	}
	if (how)
		*how = 0;
	for (int i = 0; i < count; i++) {
		char *path = strchr(argv[3 + i], '=');
		struct stat stat;

		if (!path || (*path++ = 0, files[i].fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
			die(argv[3 + i]);
		fstat(files[i].fd, &stat);
		files[i].label = argv[3 + i];
		files[i].path = path;
		files[i].size = (uint64_t)stat.st_size;
	}
	/* Once without a word, so that the first round finds in caches what the others do. */
	if (!how && strchr("ewl", argv[2][0]))
		for (int i = 0; i < count; i++)
			measure(argv[2], false, &files[i], -1);
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < count; i++)
			measure(argv[2], how, &files[(i + round) % count], round);
	return 0;
}
