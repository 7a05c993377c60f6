// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Much at once: threads, a child and the background in one memory; many processes.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memtest.h"

static u64 race_pages;

static void *toucher(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	for (u64 i = 0; i < race_pages * 2; i++) {
		u64 k = (seed = seed * 1103515245 + 12345) >> 8;

		k %= race_pages;
		CHECK(((u64 *)(AT + k * PAGE))[3] == word(SEED_AT(k), 3));
	}
	return NULL;
}

/* Three threads, a child, and the background fault all at once. */
void all_at_once(struct moved v)
{
	pthread_t threads[3];
	int w;
	pid_t k;

	race_pages = v.pages;
	call(START, v.target, 0, 0, 0, NULL);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, toucher, (void *)(i + 1));
	k = fork();
	if (!k)
		_exit(wrong(v.at, v.pages, SEED) != 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	waitpid(k, &w, 0);
	CHECK(w == 0);
	CHECK(wrong(v.at, v.pages, SEED) == 0);
	call(WAIT, v.target, 60000, 0, 0, NULL);
	call(LOSS, 0, 0, 0, 0, NULL);
	finish(v);
}

/* loss != 0: answers get lost. */
void race(u64 pages, u64 loss)
{
	struct moved v = moved_from(make_filled, pages, 1);

	call(LOSS, loss, 0, 0, 0, NULL);
	all_at_once(v);
}

/* Several processes at once: more than the background has threads. */
void crowd(int count)
{
	pid_t k[16];
	int w;

	for (int i = 0; i < count; i++) {
		k[i] = fork();
		if (!k[i]) {
			u64 n = 2048;
			struct moved v = moved_from(make_filled, n, 1);
			char *m = v.at;

			call(START, v.target, 0, 0, 0, NULL);
			for (u64 j = i; j < n; j += 7)
				CHECK(wrong(m + j * PAGE, 1, SEED_AT(j)) == 0);
			CHECK(wrong(m, n, SEED) == 0);
			finish(v);
			_exit(fails != 0);
		}
	}
	for (int i = 0; i < count; i++)
		CHECK(waitpid(k[i], &w, 0) == k[i] && w == 0);
}
