/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs share that check a folder's filesystem, one named check after the other: the table
 * and how it is run, what bytes the files hold, what filesystem it is.
 */
#ifndef E2E_CHECK_H
#define E2E_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define CHUNK (2UL << 20)

/* The files that rocheck makes. */
#define LARGE_BYTES (24UL * (1 << 20) + 7)
#define WIDE_BYTES (4UL << 30)		/* all of it a hole */
#define SPARSE_BYTES (96 * PAGE + 123)	/* data, a hole, data, a hole up to the end */
#define SPARSE_HOLE (16 * PAGE)		/* images have holes of 64 KiB and more */
#define SPARSE_DATA (48 * PAGE)
#define SPARSE_END (64 * PAGE)
#define MANY 10000
#define XATTR "trusted.rocheck"		/* of size-1; its value is "value" */

static const uint64_t sizes[] = { 0, 1, PAGE - 1, PAGE, PAGE + 1, CHUNK + 1 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/**
 * struct check - a thing that is checked
 * @name: printed with "ok" or "FAIL"
 * @run: calls fail() if it is not so
 * @differs: what is rightly not as on tmpfs, and why; printed too
 */
struct check {
	const char *name;
	void (*run)(void);
	const char *differs;
};

static const char *dir, *scratch, *check_name;
static int failures, failed;	/* checks in all; this one */
static char detail[512];

__attribute__((format(printf, 1, 2))) static inline void fail(const char *format, ...)
{
	va_list args;

	printf("FAIL %s: ", check_name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	failed++;
}

#define EXPECT(condition, ...) do { if (!(condition)) { fail(__VA_ARGS__); return; } } while (0)

/* Runs those of the checks that are named, or all. */
static inline int run_checks(const struct check *checks, size_t count, char **names, int named)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < count; i++) {
		int wanted = !named;

		for (int name = 0; name < named; name++)
			wanted |= !strcmp(names[name], checks[i].name);
		if (!wanted)
			continue;
		check_name = checks[i].name;
		detail[0] = 0;
		failed = 0;
		checks[i].run();
		failures += failed > 0;
		if (!failed)
			printf("ok %s %s\n", check_name, detail);
		if (checks[i].differs)
			printf("   not as on tmpfs: %s\n", checks[i].differs);
	}
	return failures ? 1 : 0;
}

enum kind { OTHER, DAXFS, TMPFS, OVERLAY };

static inline enum kind kind(void)
{
	static const struct { unsigned long magic; enum kind kind; } known[] = {
		{ 0x44417846, DAXFS }, { 0x01021994, TMPFS }, { 0x794c7630, OVERLAY },
	};
	struct statfs found = { 0 };

	statfs(dir, &found);
	for (size_t i = 0; i < COUNT(known); i++)
		if ((unsigned long)found.f_type == known[i].magic)
			return known[i].kind;
	return OTHER;
}

static inline int kernel_before(int major, int minor)
{
	struct utsname name = { 0 };
	int found[2] = { 0, 0 };

	uname(&name);
	sscanf(name.release, "%d.%d", &found[0], &found[1]);
	return found[0] < major || (found[0] == major && found[1] < minor);
}

/* The word at byte 8 * i of every file: so that bytes tell where they belong. */
static inline uint64_t word_at(uint64_t i)
{
	uint64_t z = (i + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline uint8_t byte_at(uint64_t offset)
{
	uint64_t word = word_at(offset / 8);

	return ((uint8_t *)&word)[offset % 8];
}

static inline int same(const uint8_t *bytes, uint64_t offset, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		if (bytes[i] != byte_at(offset + i))
			return 0;
	return 1;
}

/* Bytes that a read of @count gets. */
static inline uint64_t expected_at(uint64_t size, uint64_t offset, uint64_t count)
{
	uint64_t left = offset < size ? size - offset : 0;

	return left < count ? left : count;
}

static inline int all(const uint8_t *bytes, uint8_t value, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		if (bytes[i] != value)
			return 0;
	return 1;
}

/* DIR/NAME; good until the eighth call from here. */
static inline const char *path_of(const char *name)
{
	static char paths[8][4096];
	static int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static inline const char *size_name(uint64_t size)
{
	static char name[32];

	snprintf(name, sizeof(name), "size-%lu", (unsigned long)size);
	return name;
}

static inline int open_in(const char *name, int flags)
{
	int fd = open(path_of(name), flags | O_CLOEXEC);

	if (fd < 0 && !flags) {
		fprintf(stderr, "%s: %s\n", path_of(name), strerror(errno));
		exit(2);
	}
	return fd;
}

/* As @user if it is not 0. Its exit status, or the errno of execve(); -1 if a signal ended it. */
static inline int run_program(const char *path, char *argument, uid_t user)
{
	pid_t child = fork();
	int status = 0;

	if (!child) {
		if (user && (setresgid(user, user, user) || setresuid(user, user, user)))
			_exit(125);
		execl(path, path, argument, NULL);
		_exit(errno);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif /* E2E_CHECK_H */
