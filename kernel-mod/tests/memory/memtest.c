// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Moves memory between two processes by the self-test calls of holon.ko (built with
 * FEATURES=selftest) and looks whether it is right afterwards, whatever is done meanwhile.
 *
 *   memtest loop                     all tests, source and target on this node
 *   memtest huge                     of these those of huge pages
 *   memtest source SLOT PAGES        prints the space's id; serves SLOT until it is killed
 *   memtest target SLOT ID PAGES     takes that memory over, by faults and in background
 *   memtest target-slow SLOT ID PAGES   page by page, until the source dies
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "memtest.h"

static void wait_empty(void)
{
	struct self_test c;

	for (int i = 0; i < 100; i++) {
		c = call(COUNT, 0, 0, 0, 0, NULL);
		if (!c.arg[0] && !c.arg[1])
			break;
		usleep(50000);
	}
	printf("targets %lu sources %lu releases %lu\n", c.arg[0], c.arg[1], c.arg[2]);
	CHECK(c.arg[0] == 0 && c.arg[1] == 0);
}

#define RUN(x)                     \
	do {                       \
		printf("%s\n", #x); \
		fflush(stdout);    \
		x;                 \
	} while (0)

static void huge(void)
{
	RUN(huge_home(0));
	RUN(huge_home(1));
	RUN(huge_fault());
	RUN(huge_child(0));
	RUN(huge_child(1));
	RUN(huge_parts());
	RUN(huge_anew());
	RUN(huge_moved(0, 0));
	RUN(huge_moved(0, 1));
	RUN(huge_moved(1, 0));
	RUN(exits(1));
	RUN(huge_race());
	RUN(wait_empty());
}

static void loop(void)
{
	RUN(basic(0));
	RUN(basic(1));
	RUN(child_of(0));
	RUN(child_of(1));
	RUN(moved_mapping());
	RUN(unmapped());
	RUN(exits(0));
	RUN(lost(0));
	RUN(lost(1));
	RUN(closed());
	RUN(holes());
	RUN(occupied());
	RUN(kernel_access());
	RUN(advice());
	RUN(direct_io());
	RUN(pinned());
	RUN(traced());
	RUN(killed());
	RUN(core_dump());
	RUN(many_places(0));
	RUN(many_places(1));
	RUN(swapped());
	RUN(written());
	huge();
	RUN(race(8192, 0));
	RUN(race(512, 20));
	RUN(crowd(8));
	RUN(called_off());
	RUN(short_of_memory());
	RUN(wait_empty());
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	dev = open("/dev/holon", O_RDWR | O_CLOEXEC);
	if (dev < 0) {
		perror("/dev/holon");
		return 1;
	}
	if (argc == 2 && !strcmp(argv[1], "loop"))
		loop();
	else if (argc == 2 && !strcmp(argv[1], "huge"))
		huge();
	else if (argc == 4 && !strcmp(argv[1], "source"))
		serve(atoi(argv[2]), strtoull(argv[3], NULL, 0));
	else if (argc == 5 && !strcmp(argv[1], "target"))
		take(atoi(argv[2]), strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
	else if (argc == 5 && !strcmp(argv[1], "target-slow"))
		take_slowly(atoi(argv[2]), strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
	else
		return 2;
	printf("memtest: %d failures\n", fails);
	return fails != 0;
}
