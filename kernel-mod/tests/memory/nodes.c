// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Source and target on two nodes.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "memtest.h"

void serve(int slot, u64 pages)
{
	make_filled(pages);
	printf("id %lu\n", call(SOURCE, slot, 1, 0, 0, NULL).arg[0]);
	fflush(stdout);
	for (;;)
		pause();
}

void take(int slot, u64 id, u64 pages)
{
	char *m = map(pages, 0);
	u64 ns, t = target_of(id, slot, pages, 0, &ns), t0 = now_ns(), half = pages / 2;

	CHECK(wrong(m, 256, SEED) == 0);
	printf("insert %lu ns/page, fault %lu us/page\n", ns, (now_ns() - t0) / 256000);
	fflush(stdout);
	t0 = now_ns();
	call(START, t, 0, 0, 0, NULL);
	call(WAIT, t, 300000, 0, 0, NULL);
	printf("stream %lu MB/s\n", (u64)((pages - 256) * PAGE * 1000 / (now_ns() - t0)));
	CHECK(wrong(m, half, SEED) == 0);
	CHECK(wrong(m, pages, SEED) == 0);
	munmap(m, pages * PAGE);
	over(t);
}

/* Touches a page every 20 ms until all is here or the source is gone: then SIGBUS, no zeros. */
void take_slowly(int slot, u64 id, u64 pages)
{
	char *m = map(pages, 0);
	u64 t = target_of(id, slot, pages, 0, NULL), i;

	call(START, t, 0, 0, 0, NULL);
	catch_bus();
	for (i = 0; i < pages && !bus(m + i * PAGE); i++) {
		CHECK(wrong(m + i * PAGE, 1, SEED_AT(i)) == 0);
		usleep(20000);
	}
	printf("%s after %lu pages\n", i < pages ? "SIGBUS" : "all here", i);
	CHECK(wrong(m, i, SEED) == 0);
	if (i < pages)
		CHECK(stat_of(t).arg[3] == 1);
	munmap(m, pages * PAGE);
	call(DROP, t, 0, 0, 0, NULL);
}
