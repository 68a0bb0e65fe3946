// SPDX-License-Identifier: Apache-2.0
/*
 * Times reading and mapping of files, the candidates in turn within each round,
 * so that a machine that grows slower does so for all of them.
 *
 *   membench ROUNDS OPERATION LABEL=FILE...
 *
 * OPERATION: read:BLOCK:THREADS  random preads for half a second; operations per second
 *            touch               map the file, read a byte of each page; milliseconds
 *            fork                fork and wait with the file mapped and touched; milliseconds
 *
 * A line a measurement: OPERATION LABEL ROUND VALUE FAULTS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
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
#define READ_SECONDS 0.5

struct candidate {
	const char *label;
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

static void measure(const char *operation, const struct candidate *file, int round)
{
	unsigned long block;
	int threads;

	if (sscanf(operation, "read:%lu:%d", &block, &threads) == 2 && block && threads >= 1 && threads <= 16)
		printf("%s %s %d %.1f 0\n", operation, file->label, round, reads_per_second(file, block, threads));
	else
		measure_map(operation, file, round);
}

int main(int argc, char **argv)
{
	struct candidate files[16];
	int rounds = argc > 3 ? atoi(argv[1]) : 0, count = argc - 3;

	if (rounds < 1 || count > 16) {
		fprintf(stderr, "usage: membench ROUNDS read:BLOCK:THREADS|touch|fork LABEL=FILE...\n");
		return 2;
	}
	for (int i = 0; i < count; i++) {
		char *path = strchr(argv[3 + i], '=');
		struct stat stat;

		if (!path || (*path++ = 0, files[i].fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
			die(argv[3 + i]);
		fstat(files[i].fd, &stat);
		files[i].label = argv[3 + i];
		files[i].size = (uint64_t)stat.st_size;
	}
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < count; i++)
			measure(argv[2], &files[(i + round) % count], round);
	return 0;
}
