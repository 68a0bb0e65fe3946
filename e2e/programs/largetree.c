// SPDX-License-Identifier: Apache-2.0
/*
 * Makes what walks and look-ups are measured on: `largetree DIR` makes DIR/tree, 100 000 files of a few bytes in a
 * hundred directories, and DIR/large, 100 000 empty ones in one directory; f000000 to f099999 both.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 100000
#define DIRECTORIES 100

static void die(const char *path)
{
	perror(path);
	exit(1);
}

static void make_directory(const char *path)
{
	if (mkdir(path, 0755))
		die(path);
}

static void make_file(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length || close(fd))
		die(path);
}

int main(int argc, char **argv)
{
	char path[64], text[16];

	if (argc != 2) {
		fprintf(stderr, "usage: largetree DIR\n");
		return 2;
	}
	if (chdir(argv[1]))
		die(argv[1]);
	make_directory("tree");
	make_directory("large");
	for (int i = 0; i < DIRECTORIES; i++) {
		snprintf(path, sizeof(path), "tree/d%02d", i);
		make_directory(path);
	}
	for (int i = 0; i < FILES; i++) {
		int length = snprintf(text, sizeof(text), "%d\n", i);

		snprintf(path, sizeof(path), "tree/d%02d/f%06d", i % DIRECTORIES, i);
		make_file(path, text, (size_t)length);
		snprintf(path, sizeof(path), "large/f%06d", i);
		make_file(path, "", 0);
	}
	return 0;
}
