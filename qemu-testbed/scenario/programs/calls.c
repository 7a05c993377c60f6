// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// calls KIND SECONDS: sleeps in one system call and checks that it ends as it would have without
// a move: on time (not early, and at most three seconds late), with the right result.
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

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

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
	double start = now();
	int right = wait_in(argv[1], seconds);
	double took = now() - start;
	printf("%s %s after %.2f s, pid %d\n", argv[1], right ? "ended right" : "ENDED WRONG", took,
	       (int)getpid());
	return !(right && took > seconds - 0.2 && took < seconds + 3.0);
}
