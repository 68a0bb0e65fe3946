// SPDX-License-Identifier: Apache-2.0
/*
 * Mounts that need a user namespace.
 *
 *   nsmount idmap SOURCE TARGET FIRST   bind SOURCE at TARGET so that user and group 0 of its files
 *                                       are shown as FIRST, and the 65535 behind them likewise
 *   nsmount try TYPE TARGET OPTIONS     mount as root of a new user namespace that nobody has made;
 *                                       prints the errno
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* glibc's <sys/mount.h> and the kernel's <linux/mount.h> cannot be had together. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
	  const void *options);

static int die(const char *what)
{
	fprintf(stderr, "nsmount: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/* A user namespace with that map, which lives as long as the descriptor. */
static int user_namespace(const char *map)
{
	int pipes[2], fd;
	char path[64], byte;
	pid_t child;

	if (pipe(pipes))
		die("pipe");
	child = fork();
	if (!child) {
		if (unshare(CLONE_NEWUSER))
			die("unshare");
		(void)!write(pipes[1], "x", 1);
		pause();
		_exit(0);
	}
	if (read(pipes[0], &byte, 1) != 1)
		die("read");
	snprintf(path, sizeof(path), "/proc/%d/uid_map", child);
	put(path, map);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", child);
	put(path, map);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return fd < 0 ? die(path) : fd;
}

static int idmap(const char *source, const char *target, long first)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP };
	char map[64];
	int tree;

	snprintf(map, sizeof(map), "0 %ld 65536", first);
	attributes.userns_fd = user_namespace(map);
	tree = syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		die("open_tree");
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)))
		die("mount_setattr");
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH))
		die("move_mount");
	return 0;
}

static int try(const char *type, const char *target, const char *options)
{
	char map[64];

	/* Who changes users is not dumpable, and may not write to its own files in /proc. */
	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ||
	    prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER | CLONE_NEWNS))
		die("unshare");
	put("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %d 1", NOBODY);
	put("/proc/self/uid_map", map);
	put("/proc/self/gid_map", map);
	printf("%d\n", mount("none", target, type, 1 /* MS_RDONLY */, options) ? errno : 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "idmap"))
		return idmap(argv[2], argv[3], atol(argv[4]));
	if (argc == 5 && !strcmp(argv[1], "try"))
		return try(argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: nsmount idmap SOURCE TARGET FIRST | try TYPE TARGET OPTIONS\n");
	return 2;
}
