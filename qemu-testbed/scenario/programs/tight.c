// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// tight FILE LINES SPIN: as counter, but under limits that leave room for nothing more: no further
// descriptor, no further page of address space. A stand-in for it, or its helper, needs both.
//
// tight vfork: waits in vfork for a child that shares its memory and never ends by itself.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int set(int resource, rlim_t to)
{
	struct rlimit limit = { to, to };
	return setrlimit(resource, &limit);
}

static volatile sig_atomic_t told;

static void on_told(int sig)
{
	told = sig;
}

static rlim_t address_space(void)
{
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	if (!statm || fscanf(statm, "%lu", &pages) != 1)
		return RLIM_INFINITY;
	fclose(statm);
	return pages * sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "vfork")) {
		if (vfork() == 0)
			for (;;)
				pause();
		return wait(NULL) < 0;
	}
	if (argc != 4)
		return 2;
	unsigned long lines = strtoul(argv[2], NULL, 0), spin = strtoul(argv[3], NULL, 0);
	int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || set(RLIMIT_AS, address_space()) || set(RLIMIT_NOFILE, 0))
		return 1;
	signal(SIGUSR1, on_told);
	volatile unsigned long sink = 1;
	for (unsigned long n = 1; n <= lines && !told; n++) {
		char line[64];
		for (unsigned long i = 0; i < spin; i++)
			sink = sink * 6364136223846793005UL + 1442695040888963407UL;
		int len = snprintf(line, sizeof(line), "%lu %d\n", n, (int)getpid());
		if (write(fd, line, len) != len)
			return 1;
	}
	char end[64];
	int len = snprintf(end, sizeof(end), "end %d\n", (int)getpid());
	if (told && write(fd, end, len) != len)
		return 1;
	return close(fd) ? 1 : 0;
}
