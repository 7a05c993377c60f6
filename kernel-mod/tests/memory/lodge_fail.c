// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Pages go and come home again and again, and each time another of the module's allocations fails:
 * those of faults, of what is fetched ahead, of pages called home, of room for pages that go.
 * Faults of the kernel's own are among them, which has no second try of its own.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lodgetest.h"

#define PAGES 32ull

/* All come home without being touched. */
static void call_home(char *m)
{
	u64 end = now_ns() + 60000000000ull, far;

	set("recall", 1);
	while ((far = far_of(m, PAGES)) && now_ns() < end)
		usleep(20000);
	/* From here on they may go again. */
	set("recall", 0);
	CHECK(far == 0);
}

/* How often the kernel came to a page that was elsewhere. */
static u64 piped_far;

/* The kernel reads it for us. */
static void sent_through_pipe(char *m, u64 at)
{
	static char copy[PAGE];
	int ends[2];

	piped_far += far_of(m + at * PAGE, 1);
	CHECK(pipe(ends) == 0);
	CHECK(write(ends[1], m + at * PAGE, PAGE) == (ssize_t)PAGE);
	CHECK(read(ends[0], copy, PAGE) == (ssize_t)PAGE);
	CHECK(wrong(copy, 1, SEED_AT(at)) == 0);
	close(ends[0]);
	close(ends[1]);
}

static void go_and_come(char *m)
{
	pid_t k;
	int w;

	CHECK(send_away(m, PAGES, PAGES * 3 / 4) >= PAGES * 3 / 4);
	/* In order, so that it is fetched ahead. */
	CHECK(wrong(m, PAGES / 2, SEED) == 0);
	k = fork();
	if (!k)
		_exit(wrong(m + PAGES / 2 * PAGE, PAGES / 4, SEED_AT(PAGES / 2)) != 0);
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	sent_through_pipe(m, PAGES - 1);
	call_home(m);
	CHECK(wrong(m, PAGES, SEED) == 0);
}

void far_fails(void)
{
	char *m = map(PAGES, 0);
	u64 n = 0, left = 0;

	fill(m, PAGES, SEED);
	while (!left && !fails) {
		fail_in(++n);
		go_and_come(m);
		left = fail_left();
	}
	fail_in(0);
	printf("  each of %lu allocations failed\n", n - 1);
	CHECK(n > PAGES / 2);
	CHECK(piped_far > 0);
	munmap(m, PAGES * PAGE);
}
