// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// workset random MEGABYTES TIMES: fills its memory, then changes a page at random, TIMES times
// workset scan MEGABYTES TIMES: fills it, then reads and changes each page in order, TIMES times
// workset sort MEGABYTES: fills it with random numbers and sorts them in place
//
// Each checks what it did and prints "done us N resident_kb M", the time of all of it and what it
// has in memory then. For running with more memory than there is.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WORDS_PER_PAGE 512

static uint64_t *memory;
static size_t words;
static uint64_t state = 88172645463325252ULL;

static int64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static long resident_kb(void)
{
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	if (file && fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void fill(void)
{
	for (size_t i = 0; i < words; i++) { /* half of it can be compressed */
		uint64_t page = i / WORDS_PER_PAGE;
		memory[i] = i % 2 ? page : page ^ (i * 0x9E3779B97F4A7C15ULL);
	}
}

static int is_right(uint64_t page, uint64_t added)
{
	uint64_t *at = memory + page * WORDS_PER_PAGE;
	uint64_t last = page * WORDS_PER_PAGE + WORDS_PER_PAGE - 2;
	return at[1] == page + added &&
	       at[WORDS_PER_PAGE - 2] == (page ^ (last * 0x9E3779B97F4A7C15ULL));
}

static int at_random(size_t times)
{
	size_t pages = words / WORDS_PER_PAGE;
	uint32_t *added = calloc(pages, sizeof(*added));
	if (!added)
		return 1;
	fill();
	for (size_t n = 0; n < times; n++) {
		size_t page = draw() % pages;
		if (!is_right(page, added[page]))
			return printf("bad page %zu\n", page), 1;
		memory[page * WORDS_PER_PAGE + 1]++;
		added[page]++;
	}
	return 0;
}

static int scan(size_t times)
{
	fill();
	for (size_t n = 0; n < times; n++) {
		for (size_t page = 0; page < words / WORDS_PER_PAGE; page++) {
			if (!is_right(page, n))
				return printf("bad page %zu\n", page), 1;
			memory[page * WORDS_PER_PAGE + 1]++;
		}
	}
	return 0;
}

/* Quicksort; the smaller part first, so that the depth is that of a logarithm. */
static void sort(uint64_t *low, uint64_t *high)
{
	while (high - low > 16) {
		uint64_t middle = low[(high - low) / 2];
		uint64_t *i = low - 1, *j = high;
		for (;;) {
			while (*++i < middle)
				;
			while (*--j > middle)
				;
			if (i >= j)
				break;
			uint64_t kept = *i;
			*i = *j;
			*j = kept;
		}
		if (j + 1 - low < high - (j + 1)) {
			sort(low, j + 1);
			low = j + 1;
		} else {
			sort(j + 1, high);
			high = j + 1;
		}
	}
	for (uint64_t *i = low + 1; i < high; i++) {
		uint64_t value = *i, *j = i;
		for (; j > low && j[-1] > value; j--)
			*j = j[-1];
		*j = value;
	}
}

static int sorted(void)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < words; i++)
		sum += memory[i] = draw();
	sort(memory, memory + words);
	for (size_t i = 0; i < words; i++) {
		if (i && memory[i - 1] > memory[i])
			return printf("bad order at %zu\n", i), 1;
		sum -= memory[i];
	}
	return sum ? printf("bad sum\n"), 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: workset random|scan MEGABYTES TIMES | sort MEGABYTES\n");
		return 2;
	}
	int64_t start = now_ns();
	size_t times = argc > 3 ? strtoul(argv[3], NULL, 0) : 1;
	words = strtoul(argv[2], NULL, 0) * (1048576 / sizeof(*memory));
	memory = mmap(NULL, words * sizeof(*memory), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || !words)
		return 1;
	int bad = !strcmp(argv[1], "random") ? at_random(times) :
		  !strcmp(argv[1], "scan")   ? scan(times) :
		  !strcmp(argv[1], "sort")   ? sorted() : 2;
	if (!bad)
		printf("done us %.0f resident_kb %ld\n", (now_ns() - start) / 1e3, resident_kb());
	return bad;
}
