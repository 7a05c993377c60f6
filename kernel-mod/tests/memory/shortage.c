// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Memory is moved again and again, and each time another of the module's allocations fails: those
 * of putting far pages in, of the faults on them and of the background.
 */
#include <sys/mman.h>

#include "memtest.h"

/* Each of them is allocated for, so this is about how often it is done. */
#define PAGES 48

/* Called off, as who moves a process does when it can't be put in. */
static void call_off(struct source source, const u64 *target)
{
	if (target)
		call(DROP, *target, 0, 0, 0, NULL);
	call(DROP_SOURCE, source.id, 0, 0, 0, NULL);
}

/* Moves some memory while the n-th allocation fails. How many of n were not reached. */
static u64 moved_short(u64 n)
{
	struct source source = source_of(make_filled, PAGES, LOOP, 1);
	char *m = map(PAGES, 0);
	u64 t, left;
	int made, put;

	fail_in(n);
	t = call(TARGET, source.id, LOOP, 0, 0, &made).arg[0];
	CHECK(made == 0 || made == -ENOMEM);
	put = made;
	if (!made)
		call(INSERT, t, (u64)m, PAGES, 0, &put);
	CHECK(put == 0 || put == -ENOMEM);
	if (!put) {
		CHECK(wrong(m, PAGES / 2, SEED) == 0);
		fetch_all(t);
		CHECK(wrong(m, PAGES, SEED) == 0);
	}
	left = fail_left();
	fail_in(0);
	munmap(m, PAGES * PAGE);
	if (put)
		call_off(source, made ? NULL : &t);
	else
		over(t);
	end(source);
	return left;
}

void short_of_memory(void)
{
	u64 n = 1;

	/* A fork or an exec of others may take one: it is over when some are left twice. */
	while (!fails && (!moved_short(n) || !moved_short(n)))
		n++;
	printf("  each of %lu allocations failed\n", n - 1);
	CHECK(n > PAGES);
}
