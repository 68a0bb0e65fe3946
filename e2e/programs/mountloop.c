// SPDX-License-Identifier: Apache-2.0
/*
 * Many mounts of a filesystem, by mount(2) and umount2(2) alone. A file that is read each time has
 * to be found, whole, by its name.
 *
 *   mountloop times COUNT SOURCE TYPE OPTIONS TARGET FILE
 *                                   mount, read FILE of it, unmount, COUNT times; prints seconds
 *   mountloop points COUNT SOURCE TYPE OPTIONS DIR FILE
 *                                   COUNT mounts below DIR; prints the device number each has,
 *                                   waits for a line, reads each again and unmounts it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static const char *source, *type, *options, *file;

static void die(long number, const char *what, const char *path)
{
	fprintf(stderr, "mountloop: number %ld: %s %s: %s\n", number, what, path, strerror(errno));
	exit(1);
}

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void mount_at(long number, const char *target)
{
	if (mount(source, target, type, MS_RDONLY, options))
		die(number, "mount", target);
}

static void unmount(long number, const char *target)
{
	if (umount2(target, 0))
		die(number, "umount", target);
}

/* The sum of the file's bytes, which the first mount decides. */
static void read_file(long number, const char *target)
{
	static uint64_t first;
	static int known;
	char path[4096];
	uint8_t buffer[65536];
	uint64_t sum = 1;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", target, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(number, "open", path);
	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < got; i++)
			sum = sum * 31 + buffer[i];
	close(fd);
	if (!known)
		first = sum;
	known = 1;
	if (got < 0 || sum != first)
		die(number, "other bytes in", path);
}

static dev_t device_of(long number, const char *path)
{
	struct stat found;

	if (stat(path, &found))
		die(number, "stat", path);
	return found.st_dev;
}

static int times(long count, const char *target)
{
	dev_t below = device_of(0, target);
	double since = seconds();

	for (long i = 0; i < count; i++) {
		mount_at(i, target);
		if (device_of(i, target) == below)
			die(i, "nothing is mounted at", target);
		read_file(i, target);
		unmount(i, target);
	}
	since = seconds() - since;
	printf("mounts %ld seconds %.3f each_ms %.3f\n", count, since, since * 1e3 / count);
	return 0;
}

static int points(long count, const char *folder)
{
	char path[4096], line[16];
	dev_t device = 0;

	for (long i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%ld", folder, i);
		if (mkdir(path, 0755) && errno != EEXIST)
			die(i, "mkdir", path);
		mount_at(i, path);
		if (device && device != device_of(i, path))
			die(i, "another device number at", path);
		device = device_of(i, path);
	}
	printf("mounted %ld device %u:%u\n", count, major(device), minor(device));
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	for (long i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%ld", folder, i);
		read_file(i, path);
		unmount(i, path);
		rmdir(path);
	}
	printf("unmounted %ld\n", count);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 8) {
		fprintf(stderr,
			"usage: mountloop times|points COUNT SOURCE TYPE OPTIONS DIR FILE\n");
		return 2;
	}
	source = argv[3];
	type = argv[4];
	options = argv[5];
	file = argv[7];
	return strcmp(argv[1], "points") ? times(atol(argv[2]), argv[6])
					 : points(atol(argv[2]), argv[6]);
}
