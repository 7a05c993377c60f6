// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// hog PAGES: locks memory until there is none left, has Holon page out then (lodge/scope 1), and
// goes on locking until so many pages have gone: what it gets are these, and the last of the files.
// It prints what there was when it was full, and what went:
//     full locked_kb N available_kb N files_kb N stalls N
//     went pages N more_kb N ms N
// It must be root.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STEP_KB 256
/* Less than what the kernel keeps for itself, and a few files that are running. */
#define FULL_KB 8192
/* Where the kernel's own thread took all files away in time, who asks next finds nothing. */
#define FILES_KB 4096
#define LIMIT_MS 120000

static char text[65536], line[256];

static void read_all(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (len < 0) {
		perror(path);
		exit(1);
	}
	text[len] = 0;
	close(fd);
}

/* The sum of the numbers in lines that begin so. */
static uint64_t sum(const char *path, const char *name)
{
	uint64_t all = 0;
	char *at = text;

	read_all(path);
	while (at && *at) {
		if (!strncmp(at, name, strlen(name)))
			all += strtoull(at + strcspn(at, " :\n") + 1, NULL, 10);
		at = strchr(at, '\n');
		at += at != NULL;
	}
	return all;
}

static uint64_t available_kb(void)
{
	return sum("/proc/meminfo", "MemAvailable");
}

static uint64_t files_kb(void)
{
	return sum("/proc/meminfo", "Active(file)") + sum("/proc/meminfo", "Inactive(file)");
}

static uint64_t stalls(void)
{
	return sum("/proc/vmstat", "allocstall_");
}

static uint64_t evicted(void)
{
	read_all("/proc/sys/holon/lodge/pages_evicted");
	return strtoull(text, NULL, 10);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The kB that it got. */
static uint64_t lock_step(void)
{
	void *step = mmap(NULL, STEP_KB << 10, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);

	if (step == MAP_FAILED)
		return 0;
	memset(step, 0x5a, STEP_KB << 10);
	return STEP_KB;
}

/* Until hardly a page is left, and a task had to look for one itself or would do so in vain. */
static void fill(void)
{
	uint64_t before = stalls(), locked = 0, step = 1, available, files, stalled;

	for (;;) {
		available = available_kb();
		files = files_kb();
		stalled = stalls() - before;
		if (!step || (available <= FULL_KB && (stalled || files <= FILES_KB)))
			break;
		step = lock_step();
		locked += step;
	}
	printf("full locked_kb %llu available_kb %llu files_kb %llu stalls %llu\n",
	       (unsigned long long)locked, (unsigned long long)available,
	       (unsigned long long)files, (unsigned long long)stalled);
}

int main(int argc, char **argv)
{
	int scope = open("/proc/sys/holon/lodge/scope", O_WRONLY);
	int score = open("/proc/self/oom_score_adj", O_WRONLY);
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, before, went = 0, more = 0;
	int64_t start;

	if (!wanted || scope < 0 || score < 0 || write(score, "-1000", 5) < 0 ||
	    mlockall(MCL_CURRENT | MCL_FUTURE)) {
		fprintf(stderr, "usage: hog PAGES, as root, with Holon loaded\n");
		return 2;
	}
	setvbuf(stdout, line, _IOLBF, sizeof(line));
	fill();
	before = evicted();
	start = now_ms();
	if (write(scope, "1", 1) < 0)
		return perror("scope"), 1;
	while (went < wanted && now_ms() - start < LIMIT_MS) {
		more += lock_step();
		went = evicted() - before;
	}
	printf("went pages %llu more_kb %llu ms %lld\n", (unsigned long long)went,
	       (unsigned long long)more, (long long)(now_ms() - start));
	return went < wanted;
}
