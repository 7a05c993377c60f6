// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// counter FILE LINES SPIN: appends the numbers 1..LINES to FILE, a line each with the writer's
// PID, doing SPIN rounds of arithmetic between two lines. A reader can tell from the file alone
// whether a line was lost, written twice or out of order, or whether the PID changed. SIGUSR1
// ends it earlier: its last line is then "end" instead of a number.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void on_told(int sig)
{
	told = sig;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: counter FILE LINES SPIN\n");
		return 2;
	}
	unsigned long lines = strtoul(argv[2], NULL, 0);
	unsigned long spin = strtoul(argv[3], NULL, 0);
	int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	signal(SIGUSR1, on_told);
	volatile unsigned long sink = 1;
	for (unsigned long n = 1; n <= lines && !told; n++) {
		char line[64];
		for (unsigned long i = 0; i < spin; i++)
			sink = sink * 6364136223846793005UL + 1442695040888963407UL;
		int len = snprintf(line, sizeof(line), "%lu %d\n", n, (int)getpid());
		if (write(fd, line, len) != len) {
			perror("write");
			return 1;
		}
	}
	if (told && dprintf(fd, "end %d\n", (int)getpid()) < 0) {
		perror("write");
		return 1;
	}
	return close(fd) ? 1 : 0;
}
