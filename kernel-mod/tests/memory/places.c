// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Which pages there are at the source, and where they go at the target.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memtest.h"

static void print_places(struct self_test r)
{
	printf("  places: %lu anon %lu written %lu runs, %lu us, again %lu us\n", r.arg[0],
	       r.arg[1], r.arg[2], r.arg[4] / 1000, r.arg[3] / 1000);
}

static void make_holes(u64 pages)
{
	char *m = map(pages, 0);

	for (u64 i = 0; i < pages; i += 2)
		m[i * PAGE] = i + 1;
	print_places(call(PLACES, 0, 0, 0, 0, NULL));
}

void holes(void)
{
	u64 n = 256;
	struct moved v = moved_from(make_holes, n, 1);
	char *m = v.at;
	u64 t = v.target;

	for (u64 i = 0; i < n / 2; i++)
		CHECK(m[i * PAGE] == (char)(i % 2 ? 0 : i + 1));
	fetch_all(t);
	for (u64 i = 0; i < n; i++)
		CHECK(m[i * PAGE] == (char)(i % 2 ? 0 : i + 1));
	finish(v);
}

/* Looking for pages: how long it takes, and again, when they are known. */
void many_places(int huge)
{
	u64 n = 16384;
	char *m = map(n, huge);
	struct self_test r;

	fill(m, n, SEED);
	r = call(PLACES, 0, 0, 0, 0, NULL);
	CHECK(r.arg[0] >= n);
	print_places(r);
	munmap(m, n * PAGE);
}

/* Where a page is already, none may go in unseen; the same page twice is no error. */
void occupied(void)
{
	u64 n = 16, t;
	struct source s = source_of(make_filled, n, LOOP, 1);
	char *m = map(n, 0);
	int rc;

	m[5 * PAGE] = 1;
	t = call(TARGET, s.id, LOOP, 0, 0, NULL).arg[0];
	call(INSERT, t, (u64)AT, n, 0, &rc);
	CHECK(rc == -EBUSY);
	CHECK(m[5 * PAGE] == 1);
	madvise(m + 5 * PAGE, PAGE, MADV_DONTNEED);
	CHECK(call(INSERT, t, (u64)AT, n, 0, NULL).arg[3] == 1);
	CHECK(call(INSERT, t, (u64)AT, n, 0, NULL).arg[3] == 0);
	CHECK(wrong(m, n, SEED) == 0);
	munmap(m, n * PAGE);
	call(START, t, 0, 0, 0, NULL);
	over(t);
	end(s);
}

/* With swap in the machine: pages that are there when the process leaves, and come back. */
static void make_swapped(u64 pages)
{
	char *m = map(pages + 64, 0);
	struct self_test r;
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];

	fill(m, pages, SEED);
	madvise(m, pages * PAGE, MADV_PAGEOUT);
	r = call(PLACES, 0, 0, 0, 0, NULL);
	CHECK(r.arg[0] >= pages);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmSwap", 6))
			printf("  %s", line);
	fclose(f);
}

void swapped(void)
{
	u64 n = 2048;
	struct source s = source_of(make_swapped, n, LOOP, 1);
	char *m = map(n + 64, 0);
	u64 t = target_of(s.id, LOOP, n + 64, 0, NULL);

	CHECK(wrong(m, 512, SEED) == 0);
	fetch_all(t);
	CHECK(wrong(m, n, SEED) == 0);
	for (u64 i = n; i < n + 64; i++)
		CHECK(*(u64 *)(m + i * PAGE) == 0);
	munmap(m, (n + 64) * PAGE);
	over(t);
	end(s);
}

static const char *file = "/tmp/memtest.file";

static void make_written(u64 pages)
{
	char *m = mmap(AT, 2 * pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
		       open(file, O_RDONLY), 0);

	fill(m, pages, 77);
}

void written(void)
{
	u64 n = 32, ns, t;
	char *buf = malloc(2 * n * PAGE), *m;
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct source s;

	memset(buf, 'f', 2 * n * PAGE);
	CHECK(write(fd, buf, 2 * n * PAGE) == (long)(2 * n * PAGE));
	free(buf);
	s = source_of(make_written, n, LOOP, 1);
	m = mmap(AT, 2 * n * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
	t = target_of(s.id, LOOP, n, 1, &ns);
	CHECK(call(INSERT, t, (u64)AT, n, 1, NULL).arg[3] == 0);
	/* Mapped anew: what was put in is gone, and has to be put in again. */
	mmap(AT, 2 * n * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
	CHECK(call(INSERT, t, (u64)AT, n, 1, NULL).arg[3] == n);
	printf("  replace %lu ns/page\n", ns);
	CHECK(wrong(m, n / 2, 77) == 0);
	CHECK(m[(n + 5) * PAGE] == 'f');
	fetch_all(t);
	CHECK(wrong(m, n, 77) == 0);
	munmap(m, 2 * n * PAGE);
	over(t);
	end(s);
	close(fd);
}
