// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// pattern MEGABYTES ROUNDS: fills memory with words that follow from their own address index and
// the round, and checks every word of the previous round while it writes the next one. A page
// that came back old, zeroed, or from another place ends the program with status 1 and its index.
// Prints a line per round, so that a watcher can tell where it is. SIGUSR1 makes the round that it
// is in the last one.
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static volatile sig_atomic_t is_over;

static void end(int sig)
{
	(void)sig;
	is_over = 1;
}

static uint64_t word(uint64_t index, uint64_t round)
{
	uint64_t x = index * 0x9E3779B97F4A7C15ULL + round * 0xD1B54A32D192ED03ULL;
	x ^= x >> 29;
	return x * 0xBF58476D1CE4E5B9ULL;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: pattern MEGABYTES ROUNDS\n");
		return 2;
	}
	size_t words = strtoul(argv[1], NULL, 0) * 1048576 / sizeof(uint64_t);
	unsigned long rounds = strtoul(argv[2], NULL, 0);
	uint64_t *memory = mmap(NULL, words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	signal(SIGUSR1, end);
	for (size_t i = 0; i < words; i++)
		memory[i] = word(i, 0);
	printf("round 0\n");
	fflush(stdout);
	for (unsigned long round = 1; round <= rounds && !is_over; round++) {
		for (size_t i = 0; i < words; i++) {
			if (memory[i] != word(i, round - 1)) {
				printf("bad word %zu in round %lu: %016llx\n", i, round,
				       (unsigned long long)memory[i]);
				return 1;
			}
			memory[i] = word(i, round);
		}
		printf("round %lu\n", round);
		fflush(stdout);
	}
	printf("ok\n");
	return 0;
}
