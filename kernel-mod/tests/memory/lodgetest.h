// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* What the tests of pages that lodge on other nodes share. */
#ifndef LODGETEST_H
#define LODGETEST_H

#include "memtest.h"

/* Newer than some C libraries. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Pages of most tests. */
#define N 1024ull

/* lodge_far.c: pages of [p, p + pages) that are not in memory. */
u64 far_of(char *p, u64 pages);
/* Asks until so many of these are elsewhere, for 30 s at most. Gives how many are. */
u64 send_away(char *p, u64 pages, u64 wanted);
/* Filled memory that is elsewhere, nearly all of it. */
char *far_memory(u64 pages, int huge);
/* Gives N pages of it back. */
void drop(char *m);
/* Has all that may go asked for, for long enough that it would be gone. */
void press(u64 pages);

/* lodge_use.c: the kernel works on such pages for their own process. */
void far_direct_io(void);
void far_ring(void);
void far_splices(void);
void far_locks_all(void);
void far_merges(void);
void far_watched(void);
void far_frees(void);
void far_collapses(void);
void far_pages_out(void);

/* lodge_fail.c: needs a module built for tests. */
void far_fails(void);

/* lodge_tasks.c: other processes, and ends. */
void far_dumps(void);
void far_traces(void);
void far_copies(void);
void far_shared(void);
void far_killed(void);
void far_names(void);
/* What far_names() runs. */
int names(void);

#endif
