// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * What all tests use: the self-test calls, memory with a known content, a source process, a target.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "memtest.h"

#define SELF_TEST _IOWR('H', 0x20, struct self_test)

int dev;
int fails;

struct self_test call(int op, u64 a, u64 b, u64 c, u64 d, int *rc)
{
	struct self_test t = { op, { a, b, c, d, 0 } };
	int r = ioctl(dev, SELF_TEST, &t);

	if (rc)
		*rc = r ? -errno : 0;
	else
		CHECK(r == 0);
	return t;
}

int put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);
	int ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

int scratch(u64 pages, int flags)
{
	char name[] = "/var/tmp/holontest.XXXXXX";
	int fd = mkostemp(name, flags);

	CHECK(fd >= 0 && unlink(name) == 0);
	CHECK(ftruncate(fd, pages * PAGE) == 0);
	return fd;
}

void set(const char *name, u64 value)
{
	char path[128], text[32];
	int fd, n = snprintf(text, sizeof(text), "%lu", value);

	snprintf(path, sizeof(path), "/proc/sys/holon/lodge/%s", name);
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0 && write(fd, text, n) == n);
	close(fd);
}

void fail_in(u64 n)
{
	set("fail_in", n);
}

u64 get(const char *name)
{
	char path[128], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/holon/lodge/%s", name);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(text, NULL, 0);
}

u64 fail_left(void)
{
	return get("fail_in");
}

u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

u64 word(u64 base, u64 j)
{
	u64 x = base + j;

	if (base % 4 || !j)
		return x;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void fill(char *p, u64 pages, u64 seed)
{
	for (u64 i = 0; i < pages; i++)
		for (u64 j = 0; j < 512; j++)
			((u64 *)(p + i * PAGE))[j] = word(seed + i * PAGE_STEP, j);
}

/* Pages that are not as fill() made them. */
u64 wrong(char *p, u64 pages, u64 seed)
{
	u64 bad = 0;

	for (u64 i = 0; i < pages; i++)
		for (u64 j = 0; j < 512; j++)
			if (((u64 *)(p + i * PAGE))[j] != word(seed + i * PAGE_STEP, j)) {
				bad++;
				break;
			}
	return bad;
}

char *map(u64 pages, int huge)
{
	char *m = mmap(AT, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	CHECK(m == AT);
	madvise(m, pages * PAGE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return m;
}

struct source source_of(void (*make)(u64), u64 pages, int slot, int open)
{
	struct source s;
	int p[2];

	CHECK(pipe(p) == 0);
	s.pid = fork();
	if (!s.pid) {
		make(pages);
		u64 id = call(SOURCE, slot, open, 0, 0, NULL).arg[0];
		CHECK(write(p[1], &id, sizeof(id)) == sizeof(id));
		for (;;)
			pause();
	}
	CHECK(read(p[0], &s.id, sizeof(s.id)) == sizeof(s.id));
	close(p[0]);
	close(p[1]);
	return s;
}

void make_filled(u64 pages)
{
	fill(map(pages, 0), pages, SEED);
}

void make_filled_huge(u64 pages)
{
	fill(map(pages, 1), pages, SEED);
}

void end(struct source s)
{
	kill(s.pid, SIGKILL);
	waitpid(s.pid, NULL, 0);
}

u64 target_of(u64 id, int slot, u64 pages, int over, u64 *ns)
{
	u64 t = call(TARGET, id, slot, 0, 0, NULL).arg[0];
	struct self_test r = call(INSERT, t, (u64)AT, pages, over, NULL);

	CHECK(r.arg[3] == pages);
	if (ns)
		*ns = r.arg[4] / pages;
	return t;
}

struct self_test stat_of(u64 t)
{
	return call(STAT, t, 0, 0, 0, NULL);
}

/* All of a target's memory is given up: nothing of it may be left. */
void over(u64 t)
{
	call(WAIT, t, 10000, 0, 0, NULL);
	CHECK(stat_of(t).arg[2] == 0);
	call(DROP, t, 0, 0, 0, NULL);
}

struct moved moved_as(void (*make)(u64), u64 pages, int open, int over)
{
	struct moved m = { .pages = pages };

	/* In this order, or the source inherits the mapping. */
	m.source = source_of(make, pages, LOOP, open);
	m.at = map(pages, over == AS_HUGE);
	m.target = target_of(m.source.id, LOOP, pages, over, NULL);
	return m;
}

struct moved moved_from(void (*make)(u64), u64 pages, int open)
{
	return moved_as(make, pages, open, 0);
}

void fetch_all(u64 t)
{
	call(START, t, 0, 0, 0, NULL);
	call(WAIT, t, 60000, 0, 0, NULL);
}

void finish(struct moved m)
{
	munmap(m.at, m.pages * PAGE);
	over(m.target);
	end(m.source);
}

static sigjmp_buf jump;
static volatile void *bus_at;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	bus_at = info->si_addr;
	siglongjmp(jump, 1);
}

int bus(char *p)
{
	if (sigsetjmp(jump, 1))
		return bus_at == p;
	*(volatile char *)p;
	return 0;
}

void catch_bus(void)
{
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &sa, NULL);
}
