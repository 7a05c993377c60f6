// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// faults PAGES: touches PAGES pages, prints "ready PID" and waits for SIGUSR1. Then reads one word
// of each page in a shuffled order and times each read by itself. Prints median and 99th
// percentile in microseconds, and how many reads were slow enough to have been faults. Run it,
// move it with the background stream off, signal it.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void shuffle(uint32_t *order, size_t count)
{
	uint64_t state = 88172645463325252ULL;
	for (size_t i = 0; i < count; i++)
		order[i] = i;
	for (size_t i = count - 1; i > 0; i--) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		size_t j = state % (i + 1);
		uint32_t kept = order[i];
		order[i] = order[j];
		order[j] = kept;
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: faults PAGES\n");
		return 2;
	}
	size_t pages = strtoul(argv[1], NULL, 0);
	uint8_t *memory = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t *order = calloc(pages, sizeof(*order));
	int64_t *took = calloc(pages, sizeof(*took));
	sigset_t set;
	int number;
	if (memory == MAP_FAILED || !order || !took || !pages)
		return 1;
	madvise(memory, pages * 4096, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < pages; i++) {
		*(uint64_t *)(memory + i * 4096) = i * 0x9E3779B97F4A7C15ULL;
		took[i] = 1;
	}
	shuffle(order, pages);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	sigwait(&set, &number);
	for (size_t n = 0; n < pages; n++) { /* the tables themselves come home first */
		took[n] = 2;
		(void)*(volatile uint32_t *)&order[n];
	}
	for (size_t n = 0; n < pages; n++) {
		size_t i = order[n];
		int64_t start = now_ns();
		uint64_t value = *(volatile uint64_t *)(memory + i * 4096);
		took[n] = now_ns() - start;
		if (value != i * 0x9E3779B97F4A7C15ULL) {
			printf("bad page %zu\n", i);
			return 1;
		}
	}
	qsort(took, pages, sizeof(*took), compare);
	size_t slow = 0;
	for (size_t n = 0; n < pages; n++)
		slow += took[n] > 50000;
	printf("median_us %.1f p99_us %.1f slow %zu of %zu\n", took[pages / 2] / 1e3,
	       took[pages * 99 / 100] / 1e3, slow, pages);
	return 0;
}
