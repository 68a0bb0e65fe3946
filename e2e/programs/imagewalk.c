// SPDX-License-Identifier: Apache-2.0
/*
 * Mounts images and does with each what programs do with files, whatever its bytes say: lists, looks up, reads, maps,
 * asks for attributes, opens inodes by number. Answers may be wrong or refused; that they come is what counts.
 *
 *   imagewalk SECONDS    images as lines "NUMBER PHYS SIZE" from standard input, again and again for so long (0: once)
 *
 * A line for each that was mounted or not:
 *   NUMBER refused ERRNO MESSAGE
 *   NUMBER walked ENTRIES REFUSALS BYTES SIGBUSES CORRUPTIONS     (CORRUPTIONS: what the module counted)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define MOST_ENTRIES 400
#define MOST_DEPTH 24
#define MOST_INODES 64
#define MOST_READ 65536
#define IMAGES 4096

#define FSCONFIG_SET_STRING 1
#define FSCONFIG_CMD_CREATE 6

static sigjmp_buf bus_jump;
static volatile sig_atomic_t touching;
static unsigned long entries, refusals, bytes, sigbuses;
static char buffer[MOST_READ];
static volatile unsigned char sum;

static void on_bus(int signal)
{
	if (!touching)
		_exit(128 + signal);
	siglongjmp(bus_jump, signal);
}

/* EUCLEAN is what the module says of bytes that are wrong. */
static long noted(long result)
{
	if (result < 0 && errno == EUCLEAN)
		refusals++;
	return result;
}

static void touch(const unsigned char *map, uint64_t at)
{
	touching = 1;
	if (!sigsetjmp(bus_jump, 1))
		sum += map[at];
	else
		sigbuses++;
	touching = 0;
}

static void map_file(int file, uint64_t size, int private)
{
	uint64_t length = size > (64UL << 20) ? 64UL << 20 : size;
	unsigned char *map;

	if (!length)
		return;
	map = mmap(NULL, length, private ? PROT_READ | PROT_WRITE : PROT_READ, private ? MAP_PRIVATE : MAP_SHARED,
		   file, 0);
	if (map == MAP_FAILED)
		return;
	touch(map, 0);
	touch(map, length - 1);
	touch(map, length / 2);
	touch(map, (length / 3) & ~(PAGE - 1));
	if (private) {
		touching = 1;
		if (!sigsetjmp(bus_jump, 1))
			map[length / 2] = 1;
		else
			sigbuses++;
		touching = 0;
	}
	munmap(map, length);
}

static void read_file(int file, uint64_t size)
{
	static const int whences[] = { SEEK_DATA, SEEK_HOLE };
	off_t at = 0;
	long got;

	got = noted(pread(file, buffer, sizeof(buffer), 0));
	bytes += got > 0 ? got : 0;
	if (size > sizeof(buffer))
		noted(pread(file, buffer, PAGE, size - 100));
	noted(pread(file, buffer, PAGE, size / 2));
	for (int i = 0; i < 16 && at >= 0; i++)
		at = noted(lseek(file, at, whences[i % 2]));
	map_file(file, size, 0);
	map_file(file, size, 1);
}

static void read_xattrs(const char *path)
{
	static char names[MOST_READ], value[MOST_READ];
	long length = noted(llistxattr(path, names, sizeof(names)));

	for (long at = 0; at < length; at += strnlen(names + at, length - at) + 1)
		noted(lgetxattr(path, names + at, value, sizeof(value)));
	noted(lgetxattr(path, "user.there.is.none", value, sizeof(value)));
	noted(lgetxattr(path, "system.posix_acl_access", value, sizeof(value)));
}

static void walk(int folder, int depth);

static void look_at(int folder, const char *name, int depth)
{
	char path[512];
	struct stat status;
	int file;

	if (noted(fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW)))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", folder, name);
	read_xattrs(path);
	if (S_ISLNK(status.st_mode))
		noted(readlinkat(folder, name, buffer, sizeof(buffer)));
	if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
		return;
	file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (noted(file) < 0)
		return;
	if (S_ISREG(status.st_mode))
		read_file(file, status.st_size);
	else if (depth < MOST_DEPTH)
		walk(file, depth + 1);
	close(file);
}

/* Does not close @folder. */
static void walk(int folder, int depth)
{
	DIR *listed = fdopendir(dup(folder));
	struct dirent *entry;
	struct stat status;
	long middle = 0;

	if (!listed)
		return;
	noted(fstatat(folder, "there is no such name", &status, AT_SYMLINK_NOFOLLOW));
	while (errno = 0, entries < MOST_ENTRIES && (entry = readdir(listed))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		entries++;
		middle = telldir(listed);
		look_at(folder, entry->d_name, depth);
	}
	noted(errno ? -1 : 0);
	seekdir(listed, middle / 2);
	noted(readdir(listed) || !errno ? 0 : -1);
	seekdir(listed, 0x7fffffff);
	readdir(listed);
	closedir(listed);
}

/* Also those that no directory names. */
static void open_by_number(int root)
{
	struct { struct file_handle handle; uint64_t ino; } wanted;
	struct stat status;

	for (uint64_t ino = 1; ino <= MOST_INODES; ino++) {
		int file;

		memset(&wanted, 0, sizeof(wanted));
		wanted.handle.handle_bytes = 8;
		wanted.handle.handle_type = 0xd1;
		memcpy(wanted.handle.f_handle, &ino, 8);
		file = open_by_handle_at(root, &wanted.handle, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (noted(file) < 0)
			continue;
		if (!fstat(file, &status) && S_ISREG(status.st_mode))
			read_file(file, status.st_size);
		else if (S_ISDIR(status.st_mode))
			noted(fstatat(file, "..", &status, 0));
		close(file);
	}
}

static long corruptions(const char *phys)
{
	char path[128];
	FILE *file;
	long count = -1;

	snprintf(path, sizeof(path), "/sys/fs/daxfs/%s/corruptions", phys);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%ld", &count) != 1)
		count = -1;
	if (file)
		fclose(file);
	return count;
}

static void one(const char *number, const char *phys, const char *size)
{
	int context = syscall(SYS_fsopen, "daxfs", 1), mounted, root;
	char message[512] = "";
	long length;

	entries = refusals = bytes = sigbuses = 0;
	syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "phys", phys, 0);
	syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", size, 0);
	if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		int error = errno;

		length = read(context, message, sizeof(message) - 1);
		message[length > 0 ? length : 0] = 0;
		message[strcspn(message, "\n")] = 0;
		printf("%s refused %d %s\n", number, error, message);
		close(context);
		return;
	}
	mounted = syscall(SYS_fsmount, context, 1, 0);
	close(context);
	root = openat(mounted, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0) {
		walk(root, 0);
		open_by_number(root);
		close(root);
	}
	printf("%s walked %lu %lu %lu %lu %ld\n", number, entries, refusals, bytes, sigbuses, corruptions(phys));
	close(mounted);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_bus };
	static struct { char number[24], phys[24], size[24]; } images[IMAGES];
	time_t end = time(NULL) + (argc > 1 ? atol(argv[1]) : 0);
	unsigned long rounds = 0;
	int count = 0;

	sigaction(SIGBUS, &action, NULL);
	while (count < IMAGES &&
	       scanf("%23s %23s %23s", images[count].number, images[count].phys, images[count].size) == 3)
		count++;
	do {
		for (int i = 0; i < count; i++)
			one(images[i].number, images[i].phys, images[i].size);
		rounds++;
	} while (time(NULL) < end);
	printf("rounds %lu\n", rounds);
	return 0;
}
