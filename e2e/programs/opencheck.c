// SPDX-License-Identifier: Apache-2.0
/*
 * How files of a read-only filesystem are found, opened, executed and locked, checked one by one.
 * The folder is one that rocheck has made.
 *
 *   opencheck run DIR SCRATCH [CHECK...]  run these checks, or all
 *   opencheck suid PROGRAM                by nobody: 0 it runs as root, 1 as nobody, else the errno
 *   opencheck take FILE                   its file handle, in hexadecimal digits
 *   opencheck open DIR HANDLE             what the file of a handle holds, by the mount at DIR
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "check.h"

#define HANDLE_BYTES 128
#define NOBODY 65534

static void check_xattrs(void)
{
	char value[64];
	ssize_t size = getxattr(path_of("size-1"), XATTR, value, sizeof(value));

	EXPECT(size == 5 && !memcmp(value, "value", 5), "get: %zd %s", size, strerror(errno));
	EXPECT(getxattr(path_of("size-1"), XATTR, NULL, 0) == 5, "size of the value");
	EXPECT(getxattr(path_of("size-1"), XATTR, value, 4) < 0 && errno == ERANGE, "small buffer");
	EXPECT(getxattr(path_of("size-1"), "trusted.no", value, 4) < 0 && errno == ENODATA, "none");
	EXPECT(getxattr(path_of("size-0"), XATTR, value, 4) < 0 && errno == ENODATA, "other file");
	EXPECT(getxattr(path_of("size-1"), "wrong.name", value, 4) < 0 && errno == EOPNOTSUPP,
	       "prefix");
	size = listxattr(path_of("size-1"), value, sizeof(value));
	EXPECT(size >= (ssize_t)sizeof(XATTR) && memmem(value, size, XATTR, sizeof(XATTR)),
	       "list %zd", size);
	EXPECT(listxattr(path_of("size-1"), value, 3) < 0 && errno == ERANGE, "list into 3 bytes");
}

static void check_names(void)
{
	static const struct { const char *name; int flags, wanted; } cases[] = {
		{ "nothing", O_RDONLY, ENOENT },
		{ "nothing", O_RDONLY, ENOENT },
		{ "deep/no/x", O_RDONLY, ENOENT },
		{ "size-1/", O_RDONLY, ENOTDIR },
		{ "size-1/x", O_RDONLY, ENOTDIR },
		{ "size-1/..", O_RDONLY, ENOTDIR },
		{ "size-1", O_RDONLY | O_DIRECTORY, ENOTDIR },
		{ "link", O_RDONLY | O_NOFOLLOW, ELOOP },
		{ "loop", O_RDONLY, ELOOP },
		{ "deep", O_WRONLY, EISDIR },
		{ "deep/er/../er/file", O_RDONLY, 0 },
		{ "link", O_RDONLY, 0 },
		{ "link", O_PATH | O_NOFOLLOW, 0 },
	};
	char name[258], target[8];

	for (size_t i = 0; i < COUNT(cases); i++) {
		int fd = open(path_of(cases[i].name), cases[i].flags | O_CLOEXEC);

		EXPECT((fd < 0 ? errno : 0) == cases[i].wanted, "%s: %s", cases[i].name,
		       strerror(errno));
		close(fd);
	}
	memset(name, 'n', sizeof(name));
	name[255] = 0;
	EXPECT(access(path_of(name), F_OK) && errno == ENOENT, "255 bytes: %s", strerror(errno));
	name[255] = 'n';
	name[256] = 0;
	EXPECT(access(path_of(name), F_OK) && errno == ENAMETOOLONG, "256 bytes: %s",
	       strerror(errno));
	memset(target, '.', sizeof(target));
	EXPECT(readlink(path_of("link"), target, 4) == 4 && !memcmp(target, "deep....", 8),
	       "cut readlink");
	EXPECT(readlink(path_of("size-1"), target, 4) < 0 && errno == EINVAL, "readlink of a file");
}

static void check_exec(void)
{
	EXPECT(run_program(path_of("program"), "user", 0) == 0, "it did not run");
	EXPECT(run_program(path_of("program-0644"), "user", 0) == EACCES, "mode 0644 as root");
	EXPECT(run_program(path_of("size-1"), NULL, 0) == EACCES, "a file of data");
	EXPECT(run_program(path_of("deep"), NULL, 0) == EACCES, "a directory");
	EXPECT(run_program(path_of("program"), "user", NOBODY) == 1, "as nobody");
	EXPECT(run_program(path_of("program-suid"), "user", NOBODY) == 0, "set-user-ID as nobody");
}

static void check_nodes(void)
{
	int null = open_in("null", O_RDWR), fifo = open_in("fifo", O_RDWR | O_NONBLOCK);
	char byte = 'x';

	EXPECT(null >= 0 && write(null, "x", 1) == 1 && read(null, &byte, 1) == 0, "null: %s",
	       strerror(errno));
	EXPECT(fifo >= 0 && write(fifo, "y", 1) == 1 && read(fifo, &byte, 1) == 1 && byte == 'y',
	       "fifo: %s", strerror(errno));
	close(null);
	close(fifo);
}

static void check_locks(void)
{
	struct flock reading = { .l_type = F_RDLCK, .l_len = 10 };
	struct flock writing = { .l_type = F_WRLCK, .l_len = 10 };
	int one = open_in("large", O_RDONLY), two = open_in("large", O_RDONLY), status = 0;
	pid_t child;

	EXPECT(!flock(one, LOCK_SH) && !flock(two, LOCK_SH | LOCK_NB), "flock: %s",
	       strerror(errno));
	EXPECT(flock(one, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK, "exclusive beside shared");
	EXPECT(!flock(two, LOCK_UN) && !flock(one, LOCK_EX | LOCK_NB), "exclusive: %s",
	       strerror(errno));
	EXPECT(!fcntl(one, F_SETLK, &reading), "F_RDLCK: %s", strerror(errno));
	EXPECT(fcntl(one, F_SETLK, &writing) && errno == EBADF,
	       "F_WRLCK of a file open for reading");
	child = fork();
	if (!child) /* finds the lock of its parent, which is no obstacle to another for reading */
		_exit(fcntl(two, F_GETLK, &writing) || writing.l_type != F_RDLCK ||
		      writing.l_pid != getppid() || fcntl(two, F_SETLK, &reading));
	waitpid(child, &status, 0);
	EXPECT(!status, "a lock seen by another process");
	EXPECT(!fcntl(one, F_OFD_SETLK, &reading), "F_OFD_SETLK: %s", strerror(errno));
	close(one);
	close(two);
}

static void check_leases(void)
{
	int fd = open_in("size-4096", O_RDONLY), other;

	signal(SIGIO, SIG_IGN);
	EXPECT(!fcntl(fd, F_SETLEASE, F_RDLCK), "F_RDLCK: %s", strerror(errno));
	EXPECT(fcntl(fd, F_GETLEASE) == F_RDLCK, "F_GETLEASE");
	other = open_in("size-4096", O_RDONLY | O_NONBLOCK);
	EXPECT(other >= 0, "a reader beside a lease for reading: %s", strerror(errno));
	EXPECT(fcntl(fd, F_SETLEASE, F_WRLCK) && (errno == EAGAIN || errno == EBUSY),
	       "F_WRLCK beside a reader");
	close(other);
	EXPECT(!fcntl(fd, F_SETLEASE, F_UNLCK), "F_UNLCK: %s", strerror(errno));
	EXPECT(!fcntl(fd, F_SETLEASE, F_WRLCK), "F_WRLCK: %s", strerror(errno));
	other = open_in("size-4096", O_RDONLY | O_NONBLOCK);
	EXPECT(other < 0 && errno == EWOULDBLOCK, "a reader beside a lease for writing");
	fcntl(fd, F_SETLEASE, F_UNLCK);
	close(fd);
}

struct handle {
	struct file_handle head;
	uint8_t bytes[HANDLE_BYTES];
};

static int take(const char *path, struct handle *handle)
{
	int id;

	handle->head.handle_bytes = HANDLE_BYTES;
	return name_to_handle_at(AT_FDCWD, path, &handle->head, &id, 0);
}

static void check_handles(void)
{
	int drop = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	int mount = open_in(".", O_RDONLY | O_DIRECTORY), fd;
	struct handle of_file, of_folder;
	struct statvfs here;
	char buffer[64] = "", path[64], name[4096] = "";

	if (take(path_of("deep/er/file"), &of_file)) {
		EXPECT(kind() == OVERLAY && errno == EOPNOTSUPP, "%s", strerror(errno));
		snprintf(detail, sizeof(detail), "no handles");
		return;
	}
	EXPECT(!take(path_of("deep/er"), &of_folder), "of a directory: %s", strerror(errno));
	EXPECT(write(drop, "2", 1) == 1, "drop_caches: %s", strerror(errno));
	fd = open_by_handle_at(mount, &of_file.head, O_RDONLY);
	EXPECT(fd >= 0 && read(fd, buffer, 64) == 8 && !memcmp(buffer, "content\n", 8),
	       "a file: %s", strerror(errno));
	close(fd);
	EXPECT(write(drop, "2", 1) == 1, "drop_caches: %s", strerror(errno));
	fd = open_by_handle_at(mount, &of_folder.head, O_RDONLY | O_DIRECTORY);
	EXPECT(fd >= 0 && !faccessat(fd, "file", R_OK, 0), "a directory: %s", strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT(readlink(path, name, sizeof(name) - 1) > 0 && !strcmp(name, path_of("deep/er")),
	       "it is %s", name);
	close(fd);
	EXPECT(fstatvfs(mount, &here) || !(here.f_flag & ST_RDONLY) ||
	       (open_by_handle_at(mount, &of_file.head, O_RDWR) < 0 && errno == EROFS),
	       "for writing");
	memset(of_file.head.f_handle, 0xee, of_file.head.handle_bytes);
	EXPECT(open_by_handle_at(mount, &of_file.head, O_RDONLY) < 0 && errno == ESTALE,
	       "a wrong one: %s", strerror(errno));
	snprintf(detail, sizeof(detail), "bytes=%u", of_folder.head.handle_bytes);
	close(mount);
	close(drop);
}

static const struct check checks[] = {
	{ "xattrs", check_xattrs, NULL },
	{ "names", check_names, NULL },
	{ "exec", check_exec, NULL },
	{ "nodes", check_nodes, NULL },
	{ "locks", check_locks, NULL },
	{ "leases", check_leases, NULL },
	{ "handles", check_handles, "OverlayFS has file handles with nfs_export=on only" },
};

/* ---- single questions ---- */

static int print_handle(const char *path)
{
	struct handle handle;

	if (take(path, &handle)) {
		fprintf(stderr, "opencheck: %s: %s\n", path, strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < sizeof(handle.head) + handle.head.handle_bytes; i++)
		printf("%02x", ((uint8_t *)&handle)[i]);
	printf("\n");
	return 0;
}

static int print_file(const char *digits)
{
	struct handle handle = { 0 };
	int mount = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	char buffer[PAGE];
	ssize_t size;

	for (size_t i = 0; i < sizeof(handle) && i < strlen(digits) / 2; i++)
		sscanf(digits + 2 * i, "%2hhx", (uint8_t *)&handle + i);
	fd = open_by_handle_at(mount, &handle.head, O_RDONLY);
	size = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer));
	if (size < 0) {
		fprintf(stderr, "opencheck: %s\n", strerror(errno));
		return 1;
	}
	return fwrite(buffer, 1, size, stdout) != (size_t)size;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	dir = argc > 2 ? argv[2] : "";
	if (argc == 3 && !strcmp(command, "suid"))
		return printf("%d\n", run_program(dir, "user", NOBODY)) < 0;
	if (argc == 3 && !strcmp(command, "take"))
		return print_handle(dir);
	if (argc == 4 && !strcmp(command, "open"))
		return print_file(argv[3]);
	if (argc >= 4 && !strcmp(command, "run")) {
		scratch = argv[3];
		return run_checks(checks, COUNT(checks), argv + 4, argc - 4);
	}
	fprintf(stderr, "usage: opencheck run DIR SCRATCH [CHECK...] | suid PROGRAM | take FILE | "
		"open DIR HANDLE\n");
	return 2;
}
