// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Memory that is elsewhere. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lodgetest.h"

/* Pages of [p, p + pages) that are not in memory. */
u64 far_of(char *p, u64 pages)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	u64 entry[512], n = 0;

	for (u64 at = 0; at < pages; at += 512) {
		u64 some = pages - at < 512 ? pages - at : 512;
		u64 from = ((u64)p / PAGE + at) * 8;

		CHECK(pread(fd, entry, some * 8, from) == (ssize_t)(some * 8));
		for (u64 i = 0; i < some; i++)
			n += entry[i] >> 62 & 1;
	}
	close(fd);
	return n;
}

/* Asks until so many of these are elsewhere, for 30 s at most. Gives how many are. */
u64 send_away(char *p, u64 pages, u64 wanted)
{
	u64 end = now_ns() + 30000000000ull, far = 0, before;

	while (now_ns() < end) {
		before = far = far_of(p, pages);
		if (far >= wanted)
			break;
		/* What came back a moment ago goes last: after the other cold pages here. */
		set("force_pages", 2 * pages + 1024);
		for (int i = 0; i < 5 && far == before; i++) {
			usleep(50000);
			far = far_of(p, pages);
		}
	}
	return far;
}

/* Filled memory that is elsewhere, nearly all of it. */
char *far_memory(u64 pages, int huge)
{
	char *m = map(pages, huge);
	u64 far;

	fill(m, pages, SEED);
	far = send_away(m, pages, pages * 9 / 10);
	if (far < pages * 9 / 10)
		printf("  only %lu of %lu pages went\n", far, pages);
	CHECK(far >= pages * 9 / 10);
	return m;
}

void drop(char *m)
{
	munmap(m, N * PAGE);
}

void press(u64 pages)
{
	char *control = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(control != MAP_FAILED);
	fill(control, pages, 1);
	CHECK(send_away(control, pages, pages * 9 / 10) >= pages * 9 / 10);
	CHECK(wrong(control, pages, 1) == 0);
	munmap(control, pages * PAGE);
}
