// SPDX-License-Identifier: Apache-2.0
/*
 * dma-bufs from a program's side:
 *
 *   dmabuf mount heap|udmabuf|test IMAGE DIR [OPTION=VALUE...]   mounts the image from a dma-buf;
 *                                  twice=DIR: and once more
 *   dmabuf export FILE OFFSET LENGTH device|both|kernel [writable]   its bytes, as an importer has them
 *   dmabuf hold FILE       keeps all of it in a dma-buf, says "held", and after a line what is in it
 *
 * Of a directory `export` and `hold` ask for the image. What fails is said, and errno's name is not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/mount.h>
#include <linux/types.h>
#include <linux/udmabuf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct dma_buf_request {
	__u64 offset, length;
	__u32 flags, reserved;
};
#define DAXFS_IOC_DMA_BUF _IOW(0xda, 5, struct dma_buf_request)
#define DMA_BUF_WRITABLE 2

struct import_request {
	__s32 fd;
	__u32 how;
};
#define BUFFERS "/dev/daxfs_test_buffers"
#define BUFFERS_EXPORT _IOW('B', 1, __u64)
#define BUFFERS_IMPORT _IOW('B', 2, struct import_request)

#define CHUNK (2UL << 20)

static int fail(const char *what)
{
	fprintf(stderr, "dmabuf: %s: %s\n", what, strerror(errno));
	return -1;
}

static int from_heap(uint64_t size)
{
	struct dma_heap_allocation_data wanted = {.len = size, .fd_flags = O_RDWR | O_CLOEXEC};
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);

	if (heap < 0 || ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &wanted)) return fail("heap");
	close(heap);
	return wanted.fd;
}

static int from_udmabuf(uint64_t size)
{
	int memory = memfd_create("image", MFD_ALLOW_SEALING);
	int device = open("/dev/udmabuf", O_RDWR);
	struct udmabuf_create wanted = {.memfd = memory, .size = size};
	int made;

	if (memory < 0 || device < 0 || ftruncate(memory, size) ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK))
		return fail("udmabuf");
	made = ioctl(device, UDMABUF_CREATE, &wanted);
	if (made < 0) return fail("UDMABUF_CREATE");
	close(device);
	close(memory);
	return made;
}

static int from_test(uint64_t size)
{
	int device = open(BUFFERS, O_RDONLY | O_CLOEXEC);
	int made = device < 0 ? -1 : ioctl(device, BUFFERS_EXPORT, &size);

	if (made < 0) return fail(BUFFERS);
	close(device);
	return made;
}

static int buffer_of(const char *kind, uint64_t size)
{
	if (!strcmp(kind, "heap")) return from_heap(size);
	if (!strcmp(kind, "udmabuf")) return from_udmabuf(size);
	return from_test(size);
}

/* A dma-buf with the file's bytes, longer by what makes whole chunks. */
static int filled(const char *kind, const char *image)
{
	int file = open(image, O_RDONLY), buffer;
	struct stat about;
	char *to;

	if (file < 0 || fstat(file, &about)) return fail(image);
	const uint64_t size = (about.st_size + CHUNK - 1) & ~(CHUNK - 1);
	buffer = buffer_of(kind, size);
	if (buffer < 0) return -1;
	to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	if (to == MAP_FAILED) return fail("mmap of the dma-buf");
	for (off_t at = 0; at < about.st_size;) {
		const ssize_t got = pread(file, to + at, about.st_size - at, at);
		if (got <= 0) return fail(image);
		at += got;
	}
	munmap(to, size);
	close(file);
	return buffer;
}

static void print_log(int context)
{
	char line[512];
	ssize_t got;

	while ((got = read(context, line, sizeof(line) - 1)) > 0)
		fprintf(stderr, "%.*s\n", (int)got, line);
}

static int mount_at(int buffer, const char *where, int count, char **words)
{
	const int context = syscall(SYS_fsopen, "daxfs", 0);
	int mounted, i;

	if (context < 0) return fail("fsopen"), 1;
	if (syscall(SYS_fsconfig, context, FSCONFIG_SET_FD, "dmabuf", NULL, buffer))
		return fail("fsconfig dmabuf"), print_log(context), 1;
	for (i = 0; i < count; i++) {
		char *name = strdup(words[i]), *value = strchr(name, '=');
		*value++ = 0;
		if (!strcmp(name, "twice")) continue;
		if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, name, value, 0))
			return fail(name), print_log(context), 1;
	}
	if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return fail("fsconfig create"), print_log(context), 1;
	mounted = syscall(SYS_fsmount, context, 0, 0);
	if (mounted < 0) return fail("fsmount"), print_log(context), 1;
	if (syscall(SYS_move_mount, mounted, "", AT_FDCWD, where, MOVE_MOUNT_F_EMPTY_PATH))
		return fail("move_mount"), 1;
	return 0;
}

static int mount_buffer(int count, char **words)
{
	const int buffer = filled(words[0], words[1]);
	int i, bad;

	if (buffer < 0) return 1;
	bad = mount_at(buffer, words[2], count - 3, words + 3);
	for (i = 3; i < count && !bad; i++)
		if (!strncmp(words[i], "twice=", 6))
			bad = mount_at(buffer, words[i] + 6, count - 3, words + 3);
	return bad;
}

static int ask(const char *path, uint64_t offset, uint64_t length, uint32_t flags)
{
	struct dma_buf_request wanted = {.offset = offset, .length = length, .flags = flags};
	int file = open(path, O_RDONLY), made;

	if (file < 0) return fail(path);
	made = ioctl(file, DAXFS_IOC_DMA_BUF, &wanted);
	if (made < 0) return fail("export");
	close(file);
	return made;
}

/* Imports it and writes what it has to standard output; the descriptor is closed. */
static int print_bytes(int buffer, uint32_t how)
{
	struct import_request request = {.fd = buffer, .how = how};
	const int importer = open(BUFFERS, O_RDONLY);
	static char bytes[1 << 16];
	ssize_t got;

	if (importer < 0 || ioctl(importer, BUFFERS_IMPORT, &request)) return fail("import"), 1;
	close(buffer);
	while ((got = read(importer, bytes, sizeof(bytes))) > 0)
		if (write(1, bytes, got) != got) return fail("write"), 1;
	return got ? (fail("read"), 1) : 0;
}

static int export_file(int count, char **words)
{
	const int writable = count > 4 ? DMA_BUF_WRITABLE : 0;
	const uint32_t how = !strcmp(words[3], "kernel") ? 2 : !strcmp(words[3], "both");
	const int buffer =
		ask(words[0], strtoull(words[1], NULL, 0), strtoull(words[2], NULL, 0), writable);

	return buffer < 0 ? 1 : print_bytes(buffer, how);
}

static int hold_file(const char *path)
{
	const int buffer = ask(path, 0, 0, 0);

	if (buffer < 0) return 1;
	puts("held");
	fflush(stdout);
	getchar();
	return print_bytes(buffer, 0);
}

int main(int argc, char **argv)
{
	if (argc >= 5 && !strcmp(argv[1], "mount")) return mount_buffer(argc - 2, argv + 2);
	if (argc >= 6 && !strcmp(argv[1], "export")) return export_file(argc - 2, argv + 2);
	if (argc == 3 && !strcmp(argv[1], "hold")) return hold_file(argv[2]);
	fprintf(stderr, "dmabuf: see its source\n");
	return 2;
}
