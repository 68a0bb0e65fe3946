// SPDX-License-Identifier: Apache-2.0
/*
 * What a filesystem that is mounted read-only refuses and what it shows of its files, checked one
 * by one. Runs on any filesystem, so that tmpfs in the same virtual machine is the control.
 *
 *   rocheck generate DIR                  make the files that all programs with check.h use
 *   rocheck run DIR SCRATCH [CHECK...]    run these checks, or all
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <ftw.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "check.h"

static const struct timespec made = { .tv_sec = 1600000000, .tv_nsec = 123456789 };

/* ---- what is refused ---- */

static int file = -1;	/* size-1, open for reading */

static long bind_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/new", dir);
	err = bind(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return err;
}

static long set_flags(void)
{
	int flags = FS_IMMUTABLE_FL;

	return ioctl(file, FS_IOC_SETFLAGS, &flags);
}

static long set_project(void)
{
	struct fsxattr attributes = { .fsx_projid = 1 };

	return ioctl(file, FS_IOC_FSSETXATTR, &attributes);
}

static long map_shared(void)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED ? -1 : 0;
}

static long make_writable(void)
{
	void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
	long err = mprotect(map, PAGE, PROT_READ | PROT_WRITE);

	munmap(map, PAGE);
	return err;
}

static const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };

#define CALL(name, expression) static long call_##name(void) { return (expression); }

CALL(open_write, open_in("size-1", O_WRONLY))
CALL(open_both, open_in("size-1", O_RDWR))
CALL(open_append, open_in("size-1", O_WRONLY | O_APPEND))
CALL(open_truncate, open_in("size-1", O_RDONLY | O_TRUNC))
CALL(open_direct, open_in("size-1", O_WRONLY | O_DIRECT))
CALL(open_create, open(path_of("new"), O_RDONLY | O_CREAT, 0600))
CALL(create_over, open(path_of("size-1"), O_RDWR | O_CREAT, 0600))
CALL(create_there, open(path_of("size-1"), O_RDONLY | O_CREAT, 0600))
CALL(create_exclusive, open(path_of("size-1"), O_RDONLY | O_CREAT | O_EXCL, 0600))
CALL(creat, creat(path_of("size-1"), 0600))
CALL(tmpfile, open(dir, O_RDWR | O_TMPFILE, 0600))
CALL(mkdir, mkdir(path_of("new"), 0700))
CALL(mkdir_there, mkdir(path_of("deep"), 0700))
CALL(rmdir, rmdir(path_of("empty")))
CALL(unlink, unlink(path_of("size-1")))
CALL(unlink_many, unlink(path_of("many/00097")))
CALL(rename, rename(path_of("size-1"), path_of("new")))
CALL(rename_over, rename(path_of("size-1"), path_of("size-0")))
CALL(exchange, renameat2(AT_FDCWD, path_of("size-1"), AT_FDCWD, path_of("size-0"),
			 RENAME_EXCHANGE))
CALL(link, link(path_of("size-1"), path_of("new")))
CALL(symlink, symlink("to", path_of("new")))
CALL(mkfifo, mknod(path_of("new"), S_IFIFO | 0600, 0))
CALL(mknod, mknod(path_of("new"), S_IFCHR | 0600, makedev(1, 3)))
CALL(bind, bind_socket())
CALL(chmod, chmod(path_of("size-1"), 0600))
CALL(fchmod, fchmod(file, 0600))
CALL(chown, chown(path_of("size-1"), 1, 1))
CALL(fchown, fchown(file, 1, 1))
CALL(lchown, lchown(path_of("link"), 1, 1))
CALL(utimensat, utimensat(AT_FDCWD, path_of("size-1"), now, 0))
CALL(utime_link, utimensat(AT_FDCWD, path_of("link"), now, AT_SYMLINK_NOFOLLOW))
CALL(utime_dir, utimensat(AT_FDCWD, path_of("deep"), NULL, 0))
CALL(setxattr, setxattr(path_of("size-1"), XATTR, "x", 1, 0))
CALL(setxattr_user, setxattr(path_of("size-1"), "user.new", "x", 1, XATTR_CREATE))
CALL(setxattr_security, setxattr(path_of("size-1"), "security.new", "x", 1, 0))
CALL(fsetxattr, fsetxattr(file, XATTR, "x", 1, XATTR_REPLACE))
CALL(lsetxattr, lsetxattr(path_of("link"), "trusted.new", "x", 1, 0))
CALL(removexattr, removexattr(path_of("size-1"), XATTR))
CALL(truncate, truncate(path_of("size-1"), 0))
CALL(swapon, swapon(path_of("large"), 0))
CALL(writable, access(path_of("size-1"), W_OK))
CALL(write, write(file, "x", 1))
CALL(ftruncate, ftruncate(file, 0))
CALL(fallocate, fallocate(file, 0, 0, PAGE))
CALL(sync, syncfs(file))

static const struct { const char *name; long (*run)(void); int wanted; } refusals[] = {
	{ "open O_WRONLY", call_open_write, EROFS },
	{ "open O_RDWR", call_open_both, EROFS },
	{ "open O_APPEND", call_open_append, EROFS },
	{ "open O_RDONLY|O_TRUNC", call_open_truncate, EROFS },
	{ "open O_WRONLY|O_DIRECT", call_open_direct, EROFS },
	{ "open O_CREAT", call_open_create, EROFS },
	{ "open O_CREAT|O_RDWR of a file", call_create_over, EROFS },
	{ "open O_CREAT|O_RDONLY of a file", call_create_there, 0 },
	{ "open O_CREAT|O_EXCL of a file", call_create_exclusive, EEXIST },
	{ "creat", call_creat, EROFS },
	{ "open O_TMPFILE", call_tmpfile, EROFS },
	{ "mkdir", call_mkdir, EROFS },
	{ "mkdir of a directory", call_mkdir_there, EEXIST },
	{ "rmdir", call_rmdir, EROFS },
	{ "unlink", call_unlink, EROFS },
	{ "unlink of many", call_unlink_many, EROFS },
	{ "rename", call_rename, EROFS },
	{ "rename over a file", call_rename_over, EROFS },
	{ "renameat2 RENAME_EXCHANGE", call_exchange, EROFS },
	{ "link", call_link, EROFS },
	{ "symlink", call_symlink, EROFS },
	{ "mkfifo", call_mkfifo, EROFS },
	{ "mknod", call_mknod, EROFS },
	{ "bind", call_bind, EROFS },
	{ "chmod", call_chmod, EROFS },
	{ "fchmod", call_fchmod, EROFS },
	{ "chown", call_chown, EROFS },
	{ "fchown", call_fchown, EROFS },
	{ "lchown", call_lchown, EROFS },
	{ "utimensat", call_utimensat, EROFS },
	{ "utimensat of a symbolic link", call_utime_link, EROFS },
	{ "utimensat of a directory", call_utime_dir, EROFS },
	{ "setxattr", call_setxattr, EROFS },
	{ "setxattr user.", call_setxattr_user, EROFS },
	{ "setxattr security.", call_setxattr_security, EROFS },
	{ "fsetxattr", call_fsetxattr, EROFS },
	{ "lsetxattr of a symbolic link", call_lsetxattr, EROFS },
	{ "removexattr", call_removexattr, EROFS },
	{ "truncate", call_truncate, EROFS },
	{ "swapon", call_swapon, EROFS },
	{ "access W_OK", call_writable, EROFS },
	{ "FS_IOC_SETFLAGS", set_flags, EROFS },
	{ "FS_IOC_FSSETXATTR", set_project, EROFS },
	{ "write", call_write, EBADF },
	{ "ftruncate", call_ftruncate, EINVAL },
	{ "fallocate", call_fallocate, EBADF },
	{ "mmap PROT_WRITE|MAP_SHARED", map_shared, EACCES },
	{ "mprotect PROT_WRITE of MAP_SHARED", make_writable, EACCES },
	{ "syncfs", call_sync, 0 },
};

static void check_refused(void)
{
	char wrong[400] = "";
	struct stat found;

	file = open_in("size-1", O_RDONLY);
	for (size_t i = 0; i < COUNT(refusals); i++) {
		size_t used = strlen(wrong);
		long done;

		errno = 0;
		done = refusals[i].run();
		if ((done < 0 ? errno : 0) != refusals[i].wanted)
			snprintf(wrong + used, sizeof(wrong) - used, " [%s: %s]", refusals[i].name,
				 done < 0 ? strerror(errno) : "done");
		if (done > file)	/* a descriptor */
			close(done);
	}
	close(file);
	snprintf(detail, sizeof(detail), "calls=%zu", COUNT(refusals));
	EXPECT(!wrong[0], "%s", wrong);
	EXPECT(!stat(path_of("size-1"), &found) && found.st_size == 1 && found.st_nlink == 1 &&
	       found.st_mtim.tv_nsec == made.tv_nsec, "size-1 is not what it was");
	EXPECT(lstat(path_of("new"), &found) && errno == ENOENT, "something new is there");
}

static void check_fsync(void)
{
	int wanted = kind() == DAXFS ? EINVAL : 0, file = open_in("size-1", O_RDONLY);
	int folder = open_in("deep", O_RDONLY);

	EXPECT((fsync(file) ? errno : 0) == wanted, "of a file: %s", strerror(errno));
	EXPECT((fdatasync(folder) ? errno : 0) == wanted, "of a directory: %s", strerror(errno));
	close(file);
	close(folder);
}

/* ---- what is shown ---- */

static const struct { const char *name; uint32_t mode, links, user, group; uint64_t size, blocks; }
shown[] = {
	{ "size-0", S_IFREG | 0644, 1, 0, 0, 0, 0 },
	{ "size-1", S_IFREG | 0644, 1, 0, 0, 1, 8 },
	{ "size-4095", S_IFREG | 0644, 1, 0, 0, PAGE - 1, 8 },
	{ "size-4096", S_IFREG | 0644, 1, 0, 0, PAGE, 8 },
	{ "size-4097", S_IFREG | 0644, 1, 0, 0, PAGE + 1, 16 },
	{ "size-2097153", S_IFREG | 0644, 1, 0, 0, CHUNK + 1, 4104 },
	{ "sparse", S_IFREG | 0644, 1, 0, 0, SPARSE_BYTES, 32 * 8 },
	{ "wide", S_IFREG | 0644, 1, 0, 0, WIDE_BYTES, 0 },
	{ "many/00000", S_IFREG | 0644, MANY, 0, 0, 0, 0 },
	{ "many/09999", S_IFREG | 0644, MANY, 0, 0, 0, 0 },
	{ "owned", S_IFREG | 0640, 1, 1000, 1001, 6, 8 },
	{ "program-suid", S_IFREG | 04755, 1, 0, 0, UINT64_MAX, UINT64_MAX },
	{ "link", S_IFLNK | 0777, 1, 0, 0, 12, 0 },
	{ "null", S_IFCHR | 0666, 1, 0, 0, 0, 0 },
	{ "fifo", S_IFIFO | 0644, 1, 0, 0, 0, 0 },
	{ "deep", S_IFDIR | 0755, 3, 0, 0, UINT64_MAX, 0 },
	{ "empty", S_IFDIR | 01777, 2, 0, 0, UINT64_MAX, 0 },
	{ ".", S_IFDIR | 0755, 5, 0, 0, UINT64_MAX, 0 },
};

/* The mount's number, of the last one at the folder. */
static uint64_t mount_id(void)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "r");
	char line[4096], where[4096];
	uint64_t id, found = 0;

	while (mounts && fgets(line, sizeof(line), mounts))
		if (sscanf(line, "%lu %*s %*s %*s %4095s", &id, where) == 2 && !strcmp(where, dir))
			found = id;
	if (mounts)
		fclose(mounts);
	return found;
}

static int same_time(struct statx_timestamp time, struct timespec wanted)
{
	return time.tv_sec == wanted.tv_sec && time.tv_nsec == wanted.tv_nsec;
}

static void check_statx_of(size_t i)
{
	const char *name = shown[i].name;
	int top = !strcmp(name, ".");
	struct statx x, root;
	struct stat old;

	EXPECT(!statx(AT_FDCWD, dir, 0, STATX_BASIC_STATS, &root), "%s", strerror(errno));
	EXPECT(!statx(AT_FDCWD, path_of(name), AT_SYMLINK_NOFOLLOW,
		      STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &x), "%s", strerror(errno));
	EXPECT(!lstat(path_of(name), &old), "%s", strerror(errno));
	EXPECT((x.stx_mask & STATX_BASIC_STATS) ==
		       (kind() == TMPFS ? STATX_BASIC_STATS : STATX_BASIC_STATS & ~STATX_ATIME),
	       "%s: mask %x", name, x.stx_mask);
	EXPECT(x.stx_mode == shown[i].mode, "%s: mode %o", name, x.stx_mode);
	EXPECT(x.stx_nlink == (top && kind() == OVERLAY ? 1 : shown[i].links), "%s: nlink %u", name,
	       x.stx_nlink);
	EXPECT(x.stx_uid == shown[i].user && x.stx_gid == shown[i].group, "%s: owner", name);
	EXPECT(shown[i].size == UINT64_MAX || x.stx_size == shown[i].size, "%s: size %llu", name,
	       x.stx_size);
	EXPECT(shown[i].blocks == UINT64_MAX || x.stx_blocks == shown[i].blocks, "%s: blocks %llu",
	       name, x.stx_blocks);
	EXPECT(x.stx_blksize == PAGE, "%s: blksize %u", name, x.stx_blksize);
	EXPECT(same_time(x.stx_mtime, made), "%s: mtime %llu.%u", name, x.stx_mtime.tv_sec,
	       x.stx_mtime.tv_nsec);
	EXPECT(kind() != DAXFS || (same_time(x.stx_atime, made) && same_time(x.stx_ctime, made)),
	       "%s: atime or ctime is not mtime", name);
	EXPECT(!(x.stx_mask & STATX_BTIME) == (kind() != TMPFS), "%s: birth: mask %x", name,
	       x.stx_mask);
	EXPECT(x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT, "%s: no mount-root attribute", name);
	EXPECT(x.stx_attributes == (top ? STATX_ATTR_MOUNT_ROOT : 0), "%s: attributes %llx", name,
	       x.stx_attributes);
	EXPECT(x.stx_mask & STATX_MNT_ID && x.stx_mnt_id == mount_id(), "%s: mnt_id %llu, not %lu",
	       name, x.stx_mnt_id, mount_id());
	EXPECT(kind() == OVERLAY || (x.stx_dev_major == root.stx_dev_major &&
				     x.stx_dev_minor == root.stx_dev_minor), "%s: device", name);
	EXPECT(makedev(x.stx_rdev_major, x.stx_rdev_minor) ==
		       (S_ISCHR(x.stx_mode) ? makedev(1, 3) : 0),
	       "%s: rdev %u:%u", name, x.stx_rdev_major, x.stx_rdev_minor);
	EXPECT(old.st_ino == x.stx_ino && old.st_mode == x.stx_mode &&
	       old.st_nlink == x.stx_nlink && (uint64_t)old.st_size == x.stx_size &&
	       (uint64_t)old.st_blocks == x.stx_blocks && old.st_blksize == x.stx_blksize &&
	       old.st_dev == makedev(x.stx_dev_major, x.stx_dev_minor), "%s: stat differs", name);
}

static void check_statx(void)
{
	struct statx first, last;

	for (size_t i = 0; i < COUNT(shown) && !failed; i++)
		check_statx_of(i);
	statx(AT_FDCWD, path_of("many/00000"), 0, STATX_INO, &first);
	statx(AT_FDCWD, path_of("many/09999"), 0, STATX_INO, &last);
	EXPECT(first.stx_ino == last.stx_ino, "links have two inode numbers");
	EXPECT(statx(AT_FDCWD, dir, 0, 0x80000000U, &last) && errno == EINVAL, "a reserved mask");
	snprintf(detail, sizeof(detail), "files=%zu", COUNT(shown));
}

static const char *const read_names[] = { "large", "many", "link", "deep/er/file", "program", "." };

static int look(struct statx *found)
{
	for (size_t i = 0; i < COUNT(read_names); i++)
		if (statx(AT_FDCWD, path_of(read_names[i]), AT_SYMLINK_NOFOLLOW, STATX_ATIME,
			  &found[i]))
			return -1;
	return 0;
}

static void list(const char *name)
{
	DIR *folder = opendir(path_of(name));

	while (folder && readdir(folder))
		;
	closedir(folder);
}

/* Times of access lie before changes, so that relatime too would have to set them. */
static void check_atime(void)
{
	struct statx before[COUNT(read_names)], after[COUNT(read_names)];
	int fd = open_in("large", O_RDONLY), out = open(scratch, O_TMPFILE | O_RDWR, 0600);
	volatile uint8_t *map = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	char buffer[PAGE];

	EXPECT(!look(before), "%s", strerror(errno));
	EXPECT(read(fd, buffer, PAGE) == PAGE && *map == (uint8_t)buffer[0], "read");
	EXPECT(sendfile(out, fd, NULL, PAGE) == PAGE, "sendfile: %s", strerror(errno));
	EXPECT(readlink(path_of("link"), buffer, PAGE) == 12, "readlink");
	close(open_in("link", O_RDONLY));
	list("many");
	list(".");
	EXPECT(run_program(path_of("program"), "user", 0) == 0, "program");
	munmap((void *)map, PAGE);
	close(fd);
	fd = open_in("deep/er/file", O_RDONLY);
	EXPECT(read(fd, buffer, PAGE) == 8, "read of a small file");
	close(fd);
	close(out);
	EXPECT(!look(after), "%s", strerror(errno));
	for (size_t i = 0; i < COUNT(read_names); i++)
		EXPECT(!memcmp(&before[i].stx_atime, &after[i].stx_atime,
			       sizeof(after[i].stx_atime)),
		       "of %s: it changed", read_names[i]);
}

static const struct check checks[] = {
	{ "refused", check_refused, NULL },
	{ "fsync", check_fsync,
	  "what is never written has no fsync, as on erofs and squashfs: EINVAL" },
	{ "statx", check_statx,
	  "an image keeps mtime alone: no birth time, atime and ctime are the same, and as on "
	  "erofs no atime is promised. Files of a lower filesystem have another device number in "
	  "OverlayFS, and its root has 1 name" },
	{ "atime", check_atime, NULL },
};

/* ---- the files ---- */

static int put(const char *name, mode_t mode, const void *bytes, size_t size)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return fd < 0 || write(fd, bytes, size) != (ssize_t)size || fchmod(fd, mode) || close(fd);
}

/* @from to @to of the file's own bytes; its size is @size. */
static int fill(const char *name, uint64_t from, uint64_t to, uint64_t size)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644), err;
	uint64_t words[512];

	err = fd < 0 || ftruncate(fd, size);
	for (uint64_t at = from; at < to && !err; at += PAGE) {
		size_t length = to - at < PAGE ? to - at : PAGE;

		for (uint64_t i = 0; i < 512; i++)
			words[i] = word_at(at / 8 + i);
		err = pwrite(fd, words, length, at) != (ssize_t)length;
	}
	close(fd);
	return err;
}

static int put_many(void)
{
	char name[32];
	int err = mkdir(path_of("many"), 0755) || put("many/00000", 0644, "", 0);

	for (int i = 1; i < MANY && !err; i++) {
		snprintf(name, sizeof(name), "many/%05d", i);
		err = link(path_of("many/00000"), path_of(name));
	}
	return err;
}

static int put_programs(void)
{
	static uint8_t self[16 << 20];
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, self, sizeof(self));

	close(fd);
	return size <= 0 || put("program", 0755, self, size) ||
	       put("program-0644", 0644, self, size) || put("program-suid", 04755, self, size);
}

static int set_time(const char *path, const struct stat *stat, int type, struct FTW *place)
{
	const struct timespec times[2] = { made, made };

	(void)stat, (void)type, (void)place;
	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static int generate(void)
{
	int err = 0;

	umask(0);
	for (size_t i = 0; i < COUNT(sizes); i++)
		err |= fill(size_name(sizes[i]), 0, sizes[i], sizes[i]);
	err = err || fill("sparse", 0, SPARSE_HOLE, SPARSE_BYTES) ||
	      fill("sparse", SPARSE_DATA, SPARSE_END, SPARSE_BYTES) ||
	      fill("wide", 0, 0, WIDE_BYTES) || fill("large", 0, LARGE_BYTES, LARGE_BYTES) ||
	      mkdir(path_of("deep"), 0755) || mkdir(path_of("deep/er"), 0755) ||
	      put("deep/er/file", 0644, "content\n", 8) || mkdir(path_of("empty"), 01777) ||
	      symlink("deep/er/file", path_of("link")) || symlink("loop", path_of("loop")) ||
	      mknod(path_of("null"), S_IFCHR | 0666, makedev(1, 3)) ||
	      mkfifo(path_of("fifo"), 0644) || put("owned", 0640, "owned\n", 6) ||
	      chown(path_of("owned"), 1000, 1001) ||
	      setxattr(path_of("size-1"), XATTR, "value", 5, 0) || put_many() || put_programs() ||
	      chmod(dir, 0755) || nftw(dir, set_time, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	if (err)
		fprintf(stderr, "rocheck: cannot make files in %s: %s\n", dir, strerror(errno));
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	dir = argc > 2 ? argv[2] : "";
	if (argc == 2 && !strcmp(command, "user"))
		return geteuid() ? 1 : 0;
	if (argc == 3 && !strcmp(command, "generate"))
		return generate();
	if (argc >= 4 && !strcmp(command, "run")) {
		scratch = argv[3];
		return run_checks(checks, COUNT(checks), argv + 4, argc - 4);
	}
	fprintf(stderr, "usage: rocheck generate DIR | run DIR SCRATCH [CHECK...]\n");
	return 2;
}
