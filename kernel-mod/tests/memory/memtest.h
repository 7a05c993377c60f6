// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * What the tests of moved memory share. `dev` is /dev/holon of a module with the self-test calls;
 * `fails` counts what was wrong.
 */
#ifndef MEMTEST_H
#define MEMTEST_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

typedef uint64_t u64;

struct self_test {
	u64 op;
	u64 arg[5];
};

enum {
	SOURCE = 1, TARGET, INSERT, START, STAT, WAIT, DROP, OPEN, DROP_SOURCE, PEER_DOWN, PLACES,
	COUNT, LOSS, NO_HUGE
};

#define PAGE 4096ull
/* The slot by which a node reaches itself. */
#define LOOP 63
/* Where the memory is, in all processes. */
#define AT ((char *)0x100000000000ull)

/* What fill() adds from page to page, the seed of all sources, and that of their page i. */
#define PAGE_STEP 1000003
#define SEED 7ull
#define SEED_AT(i) (SEED + (i) * PAGE_STEP)

extern int dev;
extern int fails;

#define CHECK(x)                                                                        \
	do {                                                                            \
		if (!(x)) {                                                             \
			printf("FAIL %s:%d %s (%s)\n", __func__, __LINE__, #x,          \
			       strerror(errno));                                        \
			fails++;                                                        \
		}                                                                       \
	} while (0)

/* harness.c: a call; a failure is one of the test's, unless the caller asks for it. */
struct self_test call(int op, u64 a, u64 b, u64 c, u64 d, int *rc);
u64 now_ns(void);

/* Writes a text into a file that is there.  Whether that went well. */
int put(const char *file, const char *text);
/* A file of the guest without a name; on a disk, for direct I/O. */
int scratch(u64 pages, int flags);

/* A knob or counter of the module, in holon/lodge. */
void set(const char *name, u64 value);
u64 get(const char *name);

/* The n-th allocation of the module fails (0: none); how many are left until then. */
void fail_in(u64 n);
u64 fail_left(void);

/* Memory whose every word follows from its place and a seed, and how many pages differ. */
char *map(u64 pages, int huge);
/* Word j of a page whose first word is base.  One page of four can't be packed. */
u64 word(u64 base, u64 j);
void fill(char *p, u64 pages, u64 seed);
u64 wrong(char *p, u64 pages, u64 seed);

/* A process whose memory is kept for this one to take. */
struct source {
	pid_t pid;
	u64 id;
};

struct source source_of(void (*make)(u64), u64 pages, int slot, int open);
void make_filled(u64 pages);
void make_filled_huge(u64 pages);
void end(struct source s);

/* The other side, in this process: `over` if what is there already is to be replaced, or this. */
#define AS_HUGE 2
u64 target_of(u64 id, int slot, u64 pages, int over, u64 *ns);
struct self_test stat_of(u64 t);
void over(u64 t);

/* Both sides on this node. */
struct moved {
	struct source source;
	char *at;
	u64 pages;
	u64 target;
};

struct moved moved_as(void (*make)(u64), u64 pages, int open, int over);
struct moved moved_from(void (*make)(u64), u64 pages, int open);
void fetch_all(u64 t);
void finish(struct moved m);

/* Whether reading there ends in SIGBUS; catch_bus() comes first. */
void catch_bus(void);
int bus(char *p);

/* access.c: whatever a process does with memory that is not here yet. */
void basic(int huge);
void child_of(int late_write);
void moved_mapping(void);
void unmapped(void);
void exits(int huge);
void kernel_access(void);
void advice(void);

/* use.c: others do, devices and debuggers, and the kernel when it kills. */
void direct_io(void);
void pinned(void);
void traced(void);
void killed(void);

/* loss.c: memory that can't be had, not yet or not any more. */
void lost(int running);
void closed(void);
void core_dump(void);
void called_off(void);

/* places.c: which pages there are at the source, and where they go at the target. */
void holes(void);
void occupied(void);
void many_places(int huge);
void swapped(void);
void written(void);

/* huge.c: pages of 2 MiB. */
void huge_home(int none);
void huge_fault(void);
void huge_child(int late_write);
void huge_parts(void);
void huge_anew(void);
void huge_moved(u64 by, int none);
void huge_race(void);

/* load.c: much at once. */
void all_at_once(struct moved v);
void race(u64 pages, u64 loss);
void crowd(int count);

/* shortage.c: allocations that fail, one after the other. */
void short_of_memory(void);

/* nodes.c: source and target on two nodes. */
void serve(int slot, u64 pages);
void take(int slot, u64 id, u64 pages);
void take_slowly(int slot, u64 id, u64 pages);

#endif
