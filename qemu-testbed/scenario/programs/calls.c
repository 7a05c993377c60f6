// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// calls KIND SECONDS: sleeps in one system call and tells whether it ended with the result that it
// would have without a move. How long it took is for who started it to tell: a program that moves
// has another node's clock at the end.
//   nanosleep   until SECONDS are over
//   poll        on no descriptor, with a time-out of SECONDS
//   futex       on a word that nobody changes, with a time-out of SECONDS
//   read        on stdin: prints "got N" for the first bytes that come; SECONDS is ignored
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int wait_in(const char *kind, int seconds)
{
	struct timespec span = { .tv_sec = seconds };
	if (!strcmp(kind, "nanosleep"))
		return nanosleep(&span, NULL) == 0;
	if (!strcmp(kind, "poll"))
		return poll(NULL, 0, seconds * 1000) == 0;
	uint32_t word = 7;
	long rc = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 7, &span, NULL, 0);
	return rc == -1 && errno == ETIMEDOUT;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: calls nanosleep|poll|futex|read SECONDS\n");
		return 2;
	}
	if (!strcmp(argv[1], "read")) {
		char buffer[256];
		ssize_t got = read(0, buffer, sizeof(buffer));
		if (got < 0) {
			printf("read: %s\n", strerror(errno));
			return 1;
		}
		printf("got %zd %.*s\n", got, (int)got, buffer);
		return 0;
	}
	int seconds = atoi(argv[2]);
	int right = wait_in(argv[1], seconds);
	printf("%s %s, pid %d\n", argv[1], right ? "ended right" : "ENDED WRONG", (int)getpid());
	return !right;
}
