// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// touch MEGABYTES: touches that much anonymous memory with a pattern, prints "ready PID", then
// counts until SIGTERM. On SIGUSR1 it checks the whole pattern and prints "intact" or the first
// bad page. For measuring a move beside CRIU: nothing in it changes after "ready" but registers
// and a few stack words.
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void on_usr1(int number)
{
	(void)number;
	asked = 1;
}

static void check(const uint64_t *memory, size_t words)
{
	asked = 0;
	for (size_t i = 0; i < words; i++) {
		if (memory[i] != (i ^ 0x5DEECE66DULL)) {
			printf("bad page %zu\n", i * sizeof(uint64_t) / 4096);
			fflush(stdout);
			return;
		}
	}
	printf("intact\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_usr1 };
	if (argc != 2) {
		fprintf(stderr, "usage: touch MEGABYTES\n");
		return 2;
	}
	size_t words = strtoul(argv[1], NULL, 0) * 1048576 / sizeof(uint64_t);
	uint64_t *memory = mmap(NULL, words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (size_t i = 0; i < words; i++)
		memory[i] = i ^ 0x5DEECE66DULL;
	sigaction(SIGUSR1, &action, NULL);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	for (volatile unsigned long count = 0;; count++)
		if (asked)
			check(memory, words);
}
