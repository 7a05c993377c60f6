// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Huge pages that are not here yet: they come home whole, unless their process does something to
 * a part of them before.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memtest.h"

/* Pages of one. */
#define HUGE 512ull
#define UNITS 8ull

/* Of the mappings from `from` on, as long as `pages`: huge pages. */
static u64 huge_here(char *from, u64 pages)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end, kb, sum = 0;
	char line[512];
	int in = 0;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			in = start < (u64)from + pages * PAGE && end > (u64)from;
		else if (in && sscanf(line, "AnonHugePages: %lu", &kb) == 1)
			sum += kb;
	}
	fclose(f);
	return sum / 2048;
}

static struct moved moved_huge(u64 pages)
{
	struct moved m = moved_as(make_filled_huge, pages, 1, AS_HUGE);

	CHECK(stat_of(m.target).arg[2] == pages);
	/* The kernel counts them before they are here. */
	CHECK(huge_here(m.at, pages) == pages / HUGE);
	return m;
}

/* Nobody touches them: all come whole. Without huge pages here, none does, but all come. */
void huge_home(int none)
{
	struct moved v = moved_huge(UNITS * HUGE);

	call(NO_HUGE, none, 0, 0, 0, NULL);
	fetch_all(v.target);
	CHECK(stat_of(v.target).arg[2] == 0);
	CHECK(huge_here(v.at, v.pages) == (none ? 0 : UNITS));
	CHECK(wrong(v.at, v.pages, SEED) == 0);
	call(NO_HUGE, 0, 0, 0, 0, NULL);
	finish(v);
}

/* A fault brings one page; the others come whole afterwards. */
void huge_fault(void)
{
	static const u64 touched[] = { 0, HUGE + 200, 3 * HUGE - 1, 3 * HUGE - 2 };
	struct moved v = moved_huge(UNITS * HUGE);

	for (u64 i = 0; i < 4; i++) {
		CHECK(wrong(v.at + touched[i] * PAGE, 1, SEED_AT(touched[i])) == 0);
		CHECK(stat_of(v.target).arg[2] == v.pages - i - 1);
	}
	fetch_all(v.target);
	CHECK(wrong(v.at, v.pages, SEED) == 0);
	CHECK(huge_here(v.at, v.pages) == UNITS - 3);
	finish(v);
}

/* Shared with a child: both have all of it, whoever touches or writes it first. */
void huge_child(int late_write)
{
	struct moved v = moved_huge(UNITS * HUGE);
	int p[2], w;
	pid_t k;

	CHECK(pipe(p) == 0);
	k = fork();
	if (!k) {
		char x;

		CHECK(wrong(v.at + 700 * PAGE, 1, SEED_AT(700)) == 0);
		if (late_write)
			CHECK(read(p[0], &x, 1) == 1);
		CHECK(wrong(v.at, v.pages, SEED) == 0);
		fill(v.at, v.pages, 1);
		_exit(fails != 0);
	}
	CHECK(wrong(v.at + 1500 * PAGE, 1, SEED_AT(1500)) == 0);
	call(START, v.target, 0, 0, 0, NULL);
	if (late_write) {
		fill(v.at, v.pages, 55);
		CHECK(write(p[1], "x", 1) == 1);
	}
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	CHECK(wrong(v.at, v.pages, late_write ? 55 : SEED) == 0);
	finish(v);
	close(p[0]);
	close(p[1]);
}

/* Parts are unmapped, discarded, protected; what is left is right, and all is counted. */
void huge_parts(void)
{
	struct moved v = moved_huge(UNITS * HUGE);
	char *m = v.at;

	CHECK(munmap(m, HUGE / 2 * PAGE) == 0);
	CHECK(madvise(m + (HUGE + 10) * PAGE, 10 * PAGE, MADV_DONTNEED) == 0);
	CHECK(mprotect(m + (2 * HUGE + 100) * PAGE, 50 * PAGE, PROT_READ) == 0);
	CHECK(madvise(m + 3 * HUGE * PAGE, HUGE * PAGE, MADV_DONTNEED) == 0);
	CHECK(munmap(m + (5 * HUGE - 7) * PAGE, 7 * PAGE) == 0);
	CHECK(wrong(m + 4 * HUGE * PAGE, 3, SEED_AT(4 * HUGE)) == 0);
	fetch_all(v.target);
	CHECK(stat_of(v.target).arg[2] == 0);
	CHECK(wrong(m + HUGE / 2 * PAGE, HUGE / 2, SEED_AT(HUGE / 2)) == 0);
	CHECK(wrong(m + HUGE * PAGE, 10, SEED_AT(HUGE)) == 0);
	for (u64 i = HUGE + 10; i < HUGE + 20; i++)
		CHECK(m[i * PAGE] == 0);
	CHECK(wrong(m + (HUGE + 20) * PAGE, 2 * HUGE - 20, SEED_AT(HUGE + 20)) == 0);
	CHECK(m[3 * HUGE * PAGE] == 0 && m[(4 * HUGE - 1) * PAGE] == 0);
	CHECK(wrong(m + 4 * HUGE * PAGE, HUGE - 7, SEED_AT(4 * HUGE)) == 0);
	CHECK(wrong(m + 5 * HUGE * PAGE, (UNITS - 5) * HUGE, SEED_AT(5 * HUGE)) == 0);
	CHECK(huge_here(m + 5 * HUGE * PAGE, (UNITS - 5) * HUGE) >= UNITS - 5);
	finish(v);
}

/* What was unmapped of a huge page and is mapped anew is put in anew: not taken for there. */
void huge_anew(void)
{
	struct moved v = moved_huge(HUGE);
	char *half = v.at + HUGE / 2 * PAGE;

	CHECK(munmap(half, HUGE / 2 * PAGE) == 0);
	CHECK(mmap(half, HUGE / 2 * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == half);
	CHECK(call(INSERT, v.target, (u64)half, HUGE / 2, 0, NULL).arg[3] == HUGE / 2);
	CHECK(call(INSERT, v.target, (u64)v.at, HUGE, AS_HUGE, NULL).arg[3] == 0);
	fetch_all(v.target);
	CHECK(wrong(v.at, v.pages, SEED) == 0);
	finish(v);
}

/* Moved by whole huge pages, and by less; then they come, also where no huge page can be had. */
void huge_moved(u64 by, int none)
{
	struct moved v = moved_huge(UNITS * HUGE);
	char *to = v.at + (1ull << 32) + by * PAGE;
	u64 len = v.pages * PAGE;

	CHECK(mremap(v.at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	call(NO_HUGE, none, 0, 0, 0, NULL);
	CHECK(wrong(to + 100 * PAGE, 1, SEED_AT(100)) == 0);
	fetch_all(v.target);
	CHECK(wrong(to, v.pages, SEED) == 0);
	CHECK(huge_here(to, v.pages) == (by || none ? 0 : UNITS - 1));
	call(NO_HUGE, 0, 0, 0, 0, NULL);
	v.at = to;
	finish(v);
}

/* The kernel looks and writes; then a child, threads and the background are at it at once. */
void huge_race(void)
{
	struct moved v = moved_huge(2 * UNITS * HUGE);
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(write(p[1], v.at + 77 * PAGE, PAGE) == PAGE);
	CHECK(read(p[0], v.at + 77 * PAGE, PAGE) == PAGE);
	CHECK(mlock(v.at + 600 * PAGE, 8 * PAGE) == 0 && munlock(v.at + 600 * PAGE, 8 * PAGE) == 0);
	CHECK(wrong(v.at + 77 * PAGE, 1, SEED_AT(77)) == 0);
	all_at_once(v);
	close(p[0]);
	close(p[1]);
}
