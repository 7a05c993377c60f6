// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// pageout swap|lodge PAGES MEGABYTES HOST PORT
//     Has memory taken away and takes it back, three times: "fault" is PAGES in a shuffled order
//     without reading ahead, "random" the same with it, "sequence" is MEGABYTES in order. Each
//     access is one write fault that is timed and checks the page's content.
// pageout away MEGABYTES
//     Has memory taken away by Holon, says "away", and waits for its end.
// pageout stat PORT
//     Answers datagrams with the time that tasks ran on this machine, for the one above on another
//     machine, which asks between its phases.
//
// With "swap", MADV_PAGEOUT takes it away, and the time counts until all of it is written. With
// "lodge", Holon is told to evict as many pages and some more (so let little else be evictable).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define PAGE 4096UL
#define PRESENT (1ULL << 63)
#define ELSEWHERE (1ULL << 62)
/* Longer than any page of a test under emulation needs; a hung side ends as a failure. */
#define AWAY_MAX_S 120
#define ASK_AGAIN_NS 50000000LL
/* Pages of other programs that may go as well */
#define OTHERS 512

static uint8_t *memory;
static size_t pages;
static uint32_t *order;
static int64_t *took;

static void fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("failed: ");
	vprintf(format, args);
	printf("\n");
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void doze(void)
{
	usleep(5000);
}

static void put(const char *path, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	FILE *file = fopen(path, "w");
	if (!file || vfprintf(file, format, args) < 0 || fclose(file))
		fail("%s: %s", path, strerror(errno));
	va_end(args);
}

/*
 * How long tasks ran, kernel threads too, on all processors: to the nanosecond by the scheduler's
 * clock. What /proc/stat calls idle is counted by ticks, which come in bursts under emulation. An
 * interrupt that finds its processor idle is not in it.
 */
static int64_t busy_us(void)
{
	char line[512];
	int64_t sum = 0;
	FILE *file = fopen("/proc/schedstat", "r");
	while (file && fgets(line, sizeof(line), file)) {
		long long ran;
		if (sscanf(line, "cpu%*d %*d %*d %*d %*d %*d %*d %lld", &ran) == 1)
			sum += ran / 1000;
	}
	if (!file || !sum)
		fail("/proc/schedstat");
	fclose(file);
	return sum;
}

static int serve(int port)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)))
		return perror("bind"), 1;
	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		int64_t answer;
		if (recvfrom(fd, &answer, 1, 0, (struct sockaddr *)&from, &size) < 0)
			return perror("recvfrom"), 1;
		answer = busy_us();
		sendto(fd, &answer, sizeof(answer), 0, (struct sockaddr *)&from, size);
	}
}

static int other;

static void reach(const char *address, int port)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval limit = { .tv_sec = 1 };
	other = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(other, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (inet_pton(AF_INET, address, &peer.sin_addr) != 1 ||
	    connect(other, (struct sockaddr *)&peer, sizeof(peer)))
		fail("%s: %s", address, strerror(errno));
}

static int64_t other_busy_us(void)
{
	int64_t answer;
	for (int n = 0; n < 10; n++)
		if (send(other, "?", 1, 0) == 1 &&
		    recv(other, &answer, sizeof(answer), 0) == sizeof(answer))
			return answer;
	fail("the other machine does not tell how busy it is");
	return 0;
}

/* What a phase cost. */
struct cost {
	int64_t ns, own_us, other_us;
};

static void begin(struct cost *cost)
{
	cost->other_us = other_busy_us();
	cost->own_us = busy_us();
	cost->ns = now_ns();
}

static void end(struct cost *cost)
{
	cost->ns = now_ns() - cost->ns;
	cost->own_us = busy_us() - cost->own_us;
	cost->other_us = other_busy_us() - cost->other_us;
}

static void print(const char *phase, const char *what, const struct cost *cost)
{
	printf("%s-%s pages %zu us %.0f own_cpu_us %lld other_cpu_us %lld\n", phase, what, pages,
	       cost->ns / 1e3, (long long)cost->own_us, (long long)cost->other_us);
	fflush(stdout);
}

static void fill(void)
{
	uint64_t state = 88172645463325252ULL;
	for (size_t i = 0; i < pages; i++) {
		uint64_t *page = (uint64_t *)(memory + i * PAGE);
		for (size_t word = 0; word < PAGE / sizeof(*page); word++) {
			if (word < 128) { /* a quarter can't be compressed */
				state ^= state << 13;
				state ^= state >> 7;
				state ^= state << 17;
			}
			page[word] = word ? state : i;
		}
	}
}

static void make_order(int shuffled)
{
	uint64_t state = 0x9E3779B97F4A7C15ULL;
	for (size_t i = 0; i < pages; i++)
		order[i] = i;
	for (size_t i = pages - 1; shuffled && i > 0; i--) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		size_t j = state % (i + 1);
		uint32_t kept = order[i];
		order[i] = order[j];
		order[j] = kept;
	}
}

#define LOOK_MAX 512UL

/* Which of up to `most` pages from `from` on have not gone; how many were looked at. */
static size_t look(size_t from, size_t most, uint8_t *here)
{
	static uint64_t entries[LOOK_MAX];
	static int fd = -1;
	size_t count = pages - from < most ? pages - from : most;
	off_t at = ((uintptr_t)memory / PAGE + from) * sizeof(uint64_t);
	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, entries, count * 8, at) != (ssize_t)(count * 8))
		fail("pagemap");
	for (size_t n = 0; n < count; n++)
		here[n] = (entries[n] & PRESENT) || !(entries[n] & ELSEWHERE);
	return count;
}

/*
 * The first page from `from` on that has not gone. Looks at one page, then at twice as many each
 * time: who waits for a page to go must not take the processor from what sends it.
 */
static size_t first_here(size_t from)
{
	uint8_t here[LOOK_MAX];
	size_t most = 1;
	while (from < pages) {
		size_t count = look(from, most, here), n = 0;
		while (n < count && !here[n])
			n++;
		from += n;
		if (n < count)
			break;
		most = most * 2 < LOOK_MAX ? most * 2 : LOOK_MAX;
	}
	return from;
}

static size_t still_here(void)
{
	uint8_t here[LOOK_MAX];
	size_t sum = 0;
	for (size_t from = 0; from < pages; from += LOOK_MAX)
		for (size_t n = look(from, LOOK_MAX, here); n > 0; n--)
			sum += here[n - 1];
	return sum;
}

static unsigned long under_writeback(void)
{
	unsigned long count;
	char name[64];
	FILE *file = fopen("/proc/vmstat", "r");
	while (file && fscanf(file, "%63s %lu", name, &count) == 2)
		if (!strcmp(name, "nr_writeback"))
			return fclose(file), count;
	fail("vmstat");
	return 0;
}

static size_t in_swap_cache(void)
{
	unsigned char *cached = malloc(pages);
	size_t count = 0;
	if (!cached || mincore(memory, pages * PAGE, cached))
		fail("mincore");
	for (size_t i = 0; i < pages; i++)
		count += cached[i] & 1;
	free(cached);
	return count;
}

/* What is written stays in the swap cache until somebody needs memory: our group asks for it. */
static void drop_swap_cache(void)
{
	char line[256] = "", path[300];
	FILE *file = fopen("/proc/self/cgroup", "r");
	if (!file || !fgets(line, sizeof(line), file) || strncmp(line, "0::", 3))
		fail("no group of this process");
	fclose(file);
	line[strcspn(line, "\n")] = 0;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.reclaim", line + 3);
	for (int n = 0; n < 20; n++) {
		size_t cached = in_swap_cache();
		if (!cached)
			return;
		int fd = open(path, O_WRONLY);
		if (fd < 0)
			fail("%s: %s", path, strerror(errno));
		dprintf(fd, "%zu swappiness=max", cached * PAGE); /* less is no error */
		close(fd);
	}
}

static void swap_out(void)
{
	if (madvise(memory, pages * PAGE, MADV_PAGEOUT))
		fail("MADV_PAGEOUT: %s", strerror(errno));
	while (under_writeback())
		doze();
}

static unsigned long long evicted(void)
{
	unsigned long long count;
	FILE *file = fopen("/proc/sys/holon/lodge/pages_evicted", "r");
	if (!file || fscanf(file, "%llu", &count) != 1)
		fail("pages_evicted");
	fclose(file);
	return count;
}

/* The coldest pages of the machine go, so a few of others may be among them: more than ours are
 * asked for. Pages that were in use stay; what stayed is asked for when nothing has gone for a
 * while. */
static void lodge_out(void)
{
	int64_t limit = now_ns() + AWAY_MAX_S * 1000000000LL, looked = 0;
	unsigned long long before = evicted();
	for (size_t at = 0; (at = first_here(at)) < pages; doze()) {
		if (now_ns() < looked + ASK_AGAIN_NS)
			continue;
		unsigned long long gone = evicted();
		if (!looked || gone == before) {
			size_t here = looked ? still_here() : pages;
			if (now_ns() > limit)
				fail("%zu pages stayed", here);
			put("/proc/sys/holon/lodge/force_pages", "%zu\n",
			    here + here / 32 + OTHERS);
		}
		before = gone;
		looked = now_ns();
	}
}

/* A page that is not far away would spoil what comes next. */
static void check_away(void)
{
	size_t here = still_here(), cached = in_swap_cache();
	if (here * 50 > pages)
		fail("%zu pages stayed", here);
	if (cached * 50 > pages)
		fail("%zu pages are in the swap cache", cached);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void take_back(const char *phase)
{
	struct cost cost;
	for (size_t n = 0; n < pages; n++) { /* the tables themselves come home first */
		took[n] = 2;
		(void)*(volatile uint32_t *)&order[n];
	}
	begin(&cost);
	for (size_t n = 0; n < pages; n++) {
		size_t i = order[n];
		uint64_t *word = (uint64_t *)(memory + i * PAGE);
		int64_t start = now_ns();
		uint64_t value = __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
		took[n] = now_ns() - start;
		if (value != i)
			fail("page %zu has %llu", i, (unsigned long long)value);
	}
	end(&cost);
	print(phase, "fetch", &cost);
	qsort(took, pages, sizeof(*took), compare);
	size_t slow = 0;
	for (size_t n = 0; n < pages; n++)
		slow += took[n] > 50000;
	printf("%s-latency median_us %.1f p99_us %.1f slow %zu of %zu\n", phase,
	       took[pages / 2] / 1e3, took[pages * 99 / 100] / 1e3, slow, pages);
	fflush(stdout);
}

/* For swap, the kernel's own default is 8 pages. */
static void read_ahead(int swap, int on)
{
	const char *knob = swap ? "/proc/sys/vm/page-cluster" : "/proc/sys/holon/lodge/prefetch";
	if (access(knob, F_OK) && !swap)
		return; /* a module that has no such thing */
	put(knob, "%d\n", on ? (swap ? 3 : 1) : 0);
}

static void make_memory(size_t count)
{
	pages = count;
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	fill();
}

static void phase(int swap, const char *name, size_t count)
{
	struct cost cost;
	make_memory(count);
	make_order(strcmp(name, "sequence"));
	read_ahead(swap, strcmp(name, "fault"));
	begin(&cost);
	swap ? swap_out() : lodge_out();
	end(&cost);
	if (swap) {
		drop_swap_cache();
		check_away();
	}
	print(name, "evict", &cost);
	take_back(name);
	munmap(memory, pages * PAGE);
}

static void away(size_t count)
{
	make_memory(count);
	lodge_out();
	printf("away\n");
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "stat"))
		return serve(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "away"))
		away(strtoul(argv[2], NULL, 0) * 256);
	size_t few, many;
	int swap = argc == 6 && !strcmp(argv[1], "swap");
	if (!swap && (argc != 6 || strcmp(argv[1], "lodge"))) {
		fprintf(stderr,
			"usage: pageout swap|lodge PAGES MEGABYTES HOST PORT | away MEGABYTES | "
			"stat PORT\n");
		return 2;
	}
	few = strtoul(argv[2], NULL, 0);
	many = strtoul(argv[3], NULL, 0) * 256;
	reach(argv[4], atoi(argv[5]));
	order = calloc(few + many, sizeof(*order));
	took = calloc(few + many, sizeof(*took));
	if (!few || !many || !order || !took)
		return 1;
	phase(swap, "fault", few);
	phase(swap, "random", few);
	phase(swap, "sequence", many);
	return 0;
}
