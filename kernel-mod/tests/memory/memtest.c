// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Moves memory between two processes by the self-test calls of holon.ko (built with
 * FEATURES=selftest) and looks whether it is right afterwards, whatever is done meanwhile.
 *
 *   memtest loop                     all tests, source and target on this node
 *   memtest source SLOT PAGES        prints the space's id; serves SLOT until it is killed
 *   memtest target SLOT ID PAGES     takes that memory over, by faults and in background
 *   memtest target-slow SLOT ID PAGES   page by page, until the source dies
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t u64;

struct self_test {
	u64 op;
	u64 arg[5];
};
#define SELF_TEST _IOWR('H', 0x20, struct self_test)
enum {
	SOURCE = 1, TARGET, INSERT, START, STAT, WAIT, DROP, OPEN, DROP_SOURCE, PEER_DOWN, PLACES,
	COUNT, LOSS
};

#define PAGE 4096ull
#define LOOP 63
#define AT ((char *)0x100000000000ull)

static int dev;
static int fails;

#define CHECK(x)                                                                        \
	do {                                                                            \
		if (!(x)) {                                                             \
			printf("FAIL %s:%d %s (%s)\n", __func__, __LINE__, #x,          \
			       strerror(errno));                                        \
			fails++;                                                        \
		}                                                                       \
	} while (0)

static struct self_test call(int op, u64 a, u64 b, u64 c, u64 d, int *rc)
{
	struct self_test t = { op, { a, b, c, d, 0 } };
	int r = ioctl(dev, SELF_TEST, &t);

	if (rc)
		*rc = r ? -errno : 0;
	else
		CHECK(r == 0);
	return t;
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void fill(char *p, u64 pages, u64 seed)
{
	for (u64 i = 0; i < pages; i++)
		for (u64 j = 0; j < 512; j++)
			((u64 *)(p + i * PAGE))[j] = seed + i * 1000003 + j;
}

/* Pages that are not as fill() made them. */
static u64 wrong(char *p, u64 pages, u64 seed)
{
	u64 bad = 0;

	for (u64 i = 0; i < pages; i++)
		for (u64 j = 0; j < 512; j++)
			if (((u64 *)(p + i * PAGE))[j] != seed + i * 1000003 + j) {
				bad++;
				break;
			}
	return bad;
}

static char *map(u64 pages, int huge)
{
	char *m = mmap(AT, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	CHECK(m == AT);
	madvise(m, pages * PAGE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return m;
}

struct source {
	pid_t pid;
	u64 id;
};

/* A process with a filled memory, kept as a source. */
static struct source source_of(void (*make)(u64), u64 pages, int slot, int open)
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

static void make_filled(u64 pages)
{
	fill(map(pages, 0), pages, 7);
}

static void make_filled_huge(u64 pages)
{
	fill(map(pages, 1), pages, 7);
}

static void end(struct source s)
{
	kill(s.pid, SIGKILL);
	waitpid(s.pid, NULL, 0);
}

static u64 target_of(u64 id, int slot, u64 pages, int over, u64 *ns)
{
	u64 t = call(TARGET, id, slot, 0, 0, NULL).arg[0];
	struct self_test r = call(INSERT, t, (u64)AT, pages, over, NULL);

	CHECK(r.arg[3] == pages);
	if (ns)
		*ns = r.arg[4] / pages;
	return t;
}

static struct self_test stat_of(u64 t)
{
	return call(STAT, t, 0, 0, 0, NULL);
}

/* All of a target's memory is given up: nothing of it may be left. */
static void over(u64 t)
{
	call(WAIT, t, 10000, 0, 0, NULL);
	CHECK(stat_of(t).arg[2] == 0);
	call(DROP, t, 0, 0, 0, NULL);
}

static void basic(int huge)
{
	u64 n = 16384, ns, t0, t1;
	struct source s = source_of(huge ? make_filled_huge : make_filled, n, LOOP, 1);
	char *m = map(n, huge);
	u64 t = target_of(s.id, LOOP, n, 0, &ns);

	CHECK(stat_of(t).arg[2] == n);
	t0 = now_ns();
	CHECK(wrong(m, 1024, 7) == 0);
	t1 = now_ns();
	CHECK(stat_of(t).arg[2] == n - 1024);
	printf("  insert %lu ns/page, fault %lu ns/page, ", ns, (t1 - t0) / 1024);
	t0 = now_ns();
	call(START, t, 0, 0, 0, NULL);
	call(WAIT, t, 60000, 0, 0, NULL);
	t1 = now_ns();
	printf("stream %lu ns/page = %lu MB/s\n", (t1 - t0) / (n - 1024),
	       (u64)((n - 1024) * PAGE * 1000 / (t1 - t0)));
	CHECK(wrong(m, n, 7) == 0);
	munmap(m, n * PAGE);
	over(t);
	end(s);
}

static void child_of(int late_write)
{
	u64 n = 256;
	struct source s = source_of(make_filled, n, LOOP, 1);
	char *m = map(n, 0);
	u64 t = target_of(s.id, LOOP, n, 0, NULL);
	int p[2], w;
	pid_t k;

	CHECK(pipe(p) == 0);
	k = fork();
	if (!k) {
		char x;

		if (late_write)
			CHECK(read(p[0], &x, 1) == 1);
		fails += wrong(m, n, 7) != 0;
		fill(m, n, 1);
		_exit(fails);
	}
	call(START, t, 0, 0, 0, NULL);
	if (late_write) {
		fill(m, n, 55);
		CHECK(write(p[1], "x", 1) == 1);
	}
	CHECK(wrong(m, n, late_write ? 55 : 7) == 0);
	waitpid(k, &w, 0);
	CHECK(w == 0);
	CHECK(wrong(m, n, late_write ? 55 : 7) == 0);
	munmap(m, n * PAGE);
	over(t);
	end(s);
	close(p[0]);
	close(p[1]);
}

static void moved_mapping(void)
{
	u64 n = 512;
	struct source s = source_of(make_filled, n, LOOP, 1);
	char *m = map(n, 0), *q;
	u64 t = target_of(s.id, LOOP, n, 0, NULL);

	q = mremap(m, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT + (1ull << 32));
	CHECK(q != MAP_FAILED);
	CHECK(wrong(q, n / 2, 7) == 0);
	munmap(q, n / 2 * PAGE);
	call(START, t, 0, 0, 0, NULL);
	CHECK(wrong(q + n / 2 * PAGE, n / 2, 7 + n / 2 * 1000003) == 0);
	munmap(q, n * PAGE);
	over(t);
	end(s);
}

static void unmapped(void)
{
	u64 n = 512;
	struct source s = source_of(make_filled, n, LOOP, 1);
	char *m = map(n, 0);
	u64 t = target_of(s.id, LOOP, n, 0, NULL);

	munmap(m, 100 * PAGE);
	CHECK(stat_of(t).arg[2] == 412);
	madvise(m + 200 * PAGE, 10 * PAGE, MADV_DONTNEED);
	CHECK(stat_of(t).arg[2] == 402);
	for (int i = 200; i < 210; i++)
		CHECK(m[i * PAGE] == 0);
	CHECK(mprotect(m + 300 * PAGE, 50 * PAGE, PROT_READ) == 0);
	CHECK(wrong(m + 300 * PAGE, 50, 7 + 300 * 1000003) == 0);
	call(START, t, 0, 0, 0, NULL);
	call(WAIT, t, 10000, 0, 0, NULL);
	CHECK(wrong(m + 210 * PAGE, 302, 7 + 210 * 1000003) == 0);
	munmap(m, n * PAGE);
	over(t);
	end(s);
}

static void exits(void)
{
	u64 n = 1024, t;
	struct source s = source_of(make_filled, n, LOOP, 1);
	int p[2];
	pid_t k;

	CHECK(pipe(p) == 0);
	k = fork();
	if (!k) {
		map(n, 0);
		t = target_of(s.id, LOOP, n, 0, NULL);
		call(START, t, 0, 0, 0, NULL);
		CHECK(write(p[1], &t, sizeof(t)) == sizeof(t));
		_exit(wrong(AT, 10, 7) != 0);
	}
	CHECK(read(p[0], &t, sizeof(t)) == sizeof(t));
	waitpid(k, NULL, 0);
	over(t);
	end(s);
	close(p[0]);
	close(p[1]);
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

static int bus(char *p)
{
	if (sigsetjmp(jump, 1))
		return bus_at == p;
	*(volatile char *)p;
	return 0;
}

static void lost(int running)
{
	u64 n = 64;
	struct source s = source_of(make_filled, n, LOOP, 0);
	char *m = map(n, 0);
	u64 t = target_of(s.id, LOOP, n, 0, NULL);
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	int p[2], rc;

	if (running) {
		call(OPEN, s.id, 0, 0, 0, NULL);
		CHECK(wrong(m, 8, 7) == 0);
	}
	call(PEER_DOWN, LOOP, 0, 0, 0, NULL);
	sigaction(SIGBUS, &sa, NULL);
	CHECK(bus(m + 50 * PAGE));
	CHECK(pipe(p) == 0);
	CHECK(write(p[1], m + 50 * PAGE, 10) == -1 && errno == EFAULT);
	if (running)
		CHECK(wrong(m, 8, 7) == 0);
	call(START, t, 0, 0, 0, &rc);
	CHECK(rc == -EIO);
	CHECK(stat_of(t).arg[3] == 1);
	CHECK(stat_of(t).arg[2] == (running ? n - 8 : n));
	munmap(m, n * PAGE);
	CHECK(stat_of(t).arg[2] == 0);
	call(DROP, t, 0, 0, 0, NULL);
	end(s);
	close(p[0]);
	close(p[1]);
}

/* A fault waits for a closed space; it ends when the space opens, or with the task. */
static void closed(void)
{
	u64 n = 16, t;
	struct source s = source_of(make_filled, n, LOOP, 0);
	int w;
	pid_t k;

	map(n, 0);
	t = target_of(s.id, LOOP, n, 0, NULL);
	k = fork();
	if (!k)
		_exit(wrong(AT, 1, 7) != 0);
	usleep(300000);
	CHECK(waitpid(k, &w, WNOHANG) == 0);
	kill(k, SIGKILL);
	CHECK(waitpid(k, &w, 0) == k && WIFSIGNALED(w));
	k = fork();
	if (!k)
		_exit(wrong(AT, n, 7) != 0);
	usleep(100000);
	call(OPEN, s.id, 0, 0, 0, NULL);
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	CHECK(wrong(AT, n, 7) == 0);
	munmap(AT, n * PAGE);
	call(START, t, 0, 0, 0, NULL);
	over(t);
	end(s);
}

static void make_holes(u64 pages)
{
	char *m = map(pages, 0);

	for (u64 i = 0; i < pages; i += 2)
		m[i * PAGE] = i + 1;
	struct self_test r = call(PLACES, 0, 0, 0, 0, NULL);
	printf("  places: %lu anon %lu written %lu runs, %lu us, again %lu us\n", r.arg[0],
	       r.arg[1], r.arg[2], r.arg[4] / 1000, r.arg[3] / 1000);
}

/* Looking for pages: how long it takes, and again, when they are known. */
static void many_places(int huge)
{
	u64 n = 16384;
	char *m = map(n, huge);
	struct self_test r;

	fill(m, n, 7);
	r = call(PLACES, 0, 0, 0, 0, NULL);
	CHECK(r.arg[0] >= n);
	printf("  places: %lu anon %lu written %lu runs, %lu us, again %lu us\n", r.arg[0],
	       r.arg[1], r.arg[2], r.arg[4] / 1000, r.arg[3] / 1000);
	munmap(m, n * PAGE);
}

/* The kernel itself reads and writes far pages, for their process and for another. */
static void kernel_access(void)
{
	u64 n = 64;
	struct source s = source_of(make_filled, n, LOOP, 1);
	char *m = map(n, 0), buf[2 * PAGE];
	u64 t = target_of(s.id, LOOP, n, 0, NULL);
	struct iovec to = { buf, sizeof(buf) }, from = { m + 8 * PAGE, sizeof(buf) };
	int p[2], mem;

	CHECK(pipe(p) == 0);
	CHECK(write(p[1], m, PAGE) == PAGE && read(p[0], m + PAGE, PAGE) == PAGE);
	CHECK(wrong(m + PAGE, 1, 7) == 0);
	CHECK(process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (long)sizeof(buf));
	CHECK(wrong(buf, 2, 7 + 8 * 1000003) == 0);
	mem = open("/proc/self/mem", O_RDWR);
	CHECK(pread(mem, buf, PAGE, (long)(m + 20 * PAGE)) == PAGE);
	CHECK(wrong(buf, 1, 7 + 20 * 1000003) == 0);
	CHECK(pwrite(mem, buf, PAGE, (long)(m + 30 * PAGE)) == PAGE);
	CHECK(wrong(m + 30 * PAGE, 1, 7 + 20 * 1000003) == 0);
	CHECK(mlock(m + 40 * PAGE, 8 * PAGE) == 0);
	CHECK(munlock(m + 40 * PAGE, 8 * PAGE) == 0);
	CHECK(stat_of(t).arg[2] == n - 2 - 2 - 2 - 8);
	CHECK(wrong(m + 31 * PAGE, n - 31, 7 + 31 * 1000003) == 0);
	munmap(m, n * PAGE);
	call(START, t, 0, 0, 0, NULL);
	over(t);
	end(s);
	close(p[0]);
	close(p[1]);
	close(mem);
}

/* Advice about far pages must not cost their content. */
static void advice(void)
{
	static const int all[] = { MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT, MADV_MERGEABLE,
				   MADV_HUGEPAGE, 25 /* MADV_COLLAPSE */, MADV_SEQUENTIAL };
	u64 n = 1024;
	struct source s = source_of(make_filled, n, LOOP, 1);
	char *m = map(n, 0);
	u64 t = target_of(s.id, LOOP, n, 0, NULL);

	CHECK(wrong(m, 100, 7) == 0);
	for (u64 i = 0; i < sizeof(all) / sizeof(*all); i++)
		madvise(m, n * PAGE, all[i]);
	CHECK(wrong(m, 300, 7) == 0);
	call(START, t, 0, 0, 0, NULL);
	for (u64 i = 0; i < sizeof(all) / sizeof(*all); i++)
		madvise(m, n * PAGE, all[i]);
	call(WAIT, t, 10000, 0, 0, NULL);
	CHECK(wrong(m, n, 7) == 0);
	munmap(m, n * PAGE);
	over(t);
	end(s);
}

/* A process that dies of lost pages leaves a core file, and does not hang in it. */
static void core_dump(void)
{
	u64 n = 64;
	struct source s = source_of(make_filled, n, LOOP, 1);
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct sigaction sa = { .sa_handler = SIG_DFL };
	char *m = map(n, 0);
	u64 t = target_of(s.id, LOOP, n, 0, NULL);
	pid_t k;
	int w;

	CHECK(wrong(m, 5, 7) == 0);
	call(PEER_DOWN, LOOP, 0, 0, 0, NULL);
	k = fork();
	if (!k) {
		CHECK(chdir("/tmp") == 0);
		setrlimit(RLIMIT_CORE, &unlimited);
		sigaction(SIGBUS, &sa, NULL);
		_exit(wrong(m, n, 7) != 0);
	}
	CHECK(waitpid(k, &w, 0) == k && WIFSIGNALED(w) && WTERMSIG(w) == SIGBUS);
	printf("  %s\n", WCOREDUMP(w) ? "core dumped" : "no core");
	munmap(m, n * PAGE);
	call(DROP, t, 0, 0, 0, NULL);
	end(s);
}

/* Where a page is already, none may go in unseen; the same page twice is no error. */
static void occupied(void)
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
	CHECK(wrong(m, n, 7) == 0);
	munmap(m, n * PAGE);
	call(START, t, 0, 0, 0, NULL);
	over(t);
	end(s);
}

static void holes(void)
{
	u64 n = 256;
	struct source s = source_of(make_holes, n, LOOP, 1);
	char *m = map(n, 0);
	u64 t = target_of(s.id, LOOP, n, 0, NULL);

	for (u64 i = 0; i < n / 2; i++)
		CHECK(m[i * PAGE] == (char)(i % 2 ? 0 : i + 1));
	call(START, t, 0, 0, 0, NULL);
	call(WAIT, t, 10000, 0, 0, NULL);
	for (u64 i = 0; i < n; i++)
		CHECK(m[i * PAGE] == (char)(i % 2 ? 0 : i + 1));
	munmap(m, n * PAGE);
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

	fill(m, pages, 7);
	madvise(m, pages * PAGE, MADV_PAGEOUT);
	r = call(PLACES, 0, 0, 0, 0, NULL);
	CHECK(r.arg[0] >= pages);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmSwap", 6))
			printf("  %s", line);
	fclose(f);
}

static void swapped(void)
{
	u64 n = 2048;
	struct source s = source_of(make_swapped, n, LOOP, 1);
	char *m = map(n + 64, 0);
	u64 t = target_of(s.id, LOOP, n + 64, 0, NULL);

	CHECK(wrong(m, 512, 7) == 0);
	call(START, t, 0, 0, 0, NULL);
	call(WAIT, t, 30000, 0, 0, NULL);
	CHECK(wrong(m, n, 7) == 0);
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

static void written(void)
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
	call(START, t, 0, 0, 0, NULL);
	call(WAIT, t, 10000, 0, 0, NULL);
	CHECK(wrong(m, n, 77) == 0);
	munmap(m, 2 * n * PAGE);
	over(t);
	end(s);
	close(fd);
}

static u64 race_pages;

static void *toucher(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	for (u64 i = 0; i < race_pages * 2; i++) {
		u64 k = (seed = seed * 1103515245 + 12345) >> 8;

		k %= race_pages;
		CHECK(((u64 *)(AT + k * PAGE))[3] == 7 + k * 1000003 + 3);
	}
	return NULL;
}

/* Three threads, a child, and the background fault all at once; loss != 0: answers get lost. */
static void race(u64 pages, u64 loss)
{
	struct source s = source_of(make_filled, pages, LOOP, 1);
	char *m = map(pages, 0);
	u64 t = target_of(s.id, LOOP, pages, 0, NULL);
	pthread_t threads[3];
	int w;
	pid_t k;

	call(LOSS, loss, 0, 0, 0, NULL);
	race_pages = pages;
	call(START, t, 0, 0, 0, NULL);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, toucher, (void *)(i + 1));
	k = fork();
	if (!k)
		_exit(wrong(m, pages, 7) != 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	waitpid(k, &w, 0);
	CHECK(w == 0);
	CHECK(wrong(m, pages, 7) == 0);
	call(WAIT, t, 60000, 0, 0, NULL);
	call(LOSS, 0, 0, 0, 0, NULL);
	munmap(m, pages * PAGE);
	over(t);
	end(s);
}

/* Several processes at once: more than the background has threads. */
static void crowd(int count)
{
	pid_t k[16];
	int w;

	for (int i = 0; i < count; i++) {
		k[i] = fork();
		if (!k[i]) {
			u64 n = 2048;
			struct source s = source_of(make_filled, n, LOOP, 1);
			char *m = map(n, 0);
			u64 t = target_of(s.id, LOOP, n, 0, NULL);

			call(START, t, 0, 0, 0, NULL);
			for (u64 j = i; j < n; j += 7)
				CHECK(wrong(m + j * PAGE, 1, 7 + j * 1000003) == 0);
			CHECK(wrong(m, n, 7) == 0);
			munmap(m, n * PAGE);
			over(t);
			end(s);
			_exit(fails != 0);
		}
	}
	for (int i = 0; i < count; i++)
		CHECK(waitpid(k[i], &w, 0) == k[i] && w == 0);
}

/* Called off before it ran: nothing may be left on either side. */
static void called_off(void)
{
	u64 n = 128;
	struct source s = source_of(make_filled, n, LOOP, 0);
	char *m = map(n, 0);
	u64 t = target_of(s.id, LOOP, n, 0, NULL);

	call(DROP, t, 0, 0, 0, NULL);
	call(DROP_SOURCE, s.id, 0, 0, 0, NULL);
	munmap(m, n * PAGE);
	end(s);
}

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

static void loop(void)
{
#define RUN(x)                     \
	do {                       \
		printf("%s\n", #x); \
		fflush(stdout);    \
		x;                 \
	} while (0)
	RUN(basic(0));
	RUN(basic(1));
	RUN(child_of(0));
	RUN(child_of(1));
	RUN(moved_mapping());
	RUN(unmapped());
	RUN(exits());
	RUN(lost(0));
	RUN(lost(1));
	RUN(closed());
	RUN(holes());
	RUN(occupied());
	RUN(kernel_access());
	RUN(advice());
	RUN(core_dump());
	RUN(many_places(0));
	RUN(many_places(1));
	RUN(swapped());
	RUN(written());
	RUN(race(8192, 0));
	RUN(race(512, 20));
	RUN(crowd(8));
	RUN(called_off());
	RUN(wait_empty());
}

static void serve(int slot, u64 pages)
{
	make_filled(pages);
	printf("id %lu\n", call(SOURCE, slot, 1, 0, 0, NULL).arg[0]);
	fflush(stdout);
	for (;;)
		pause();
}

static void take(int slot, u64 id, u64 pages)
{
	char *m = map(pages, 0);
	u64 ns, t = target_of(id, slot, pages, 0, &ns), t0 = now_ns(), half = pages / 2;

	CHECK(wrong(m, 256, 7) == 0);
	printf("insert %lu ns/page, fault %lu us/page\n", ns, (now_ns() - t0) / 256000);
	fflush(stdout);
	t0 = now_ns();
	call(START, t, 0, 0, 0, NULL);
	call(WAIT, t, 300000, 0, 0, NULL);
	printf("stream %lu MB/s\n", (u64)((pages - 256) * PAGE * 1000 / (now_ns() - t0)));
	CHECK(wrong(m, half, 7) == 0);
	CHECK(wrong(m, pages, 7) == 0);
	munmap(m, pages * PAGE);
	over(t);
}

/* Touches a page every 20 ms until all is here or the source is gone: then SIGBUS, no zeros. */
static void take_slowly(int slot, u64 id, u64 pages)
{
	char *m = map(pages, 0);
	u64 t = target_of(id, slot, pages, 0, NULL), i;
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };

	call(START, t, 0, 0, 0, NULL);
	sigaction(SIGBUS, &sa, NULL);
	for (i = 0; i < pages && !bus(m + i * PAGE); i++) {
		CHECK(wrong(m + i * PAGE, 1, 7 + i * 1000003) == 0);
		usleep(20000);
	}
	printf("%s after %lu pages\n", i < pages ? "SIGBUS" : "all here", i);
	CHECK(wrong(m, i, 7) == 0);
	if (i < pages)
		CHECK(stat_of(t).arg[3] == 1);
	munmap(m, pages * PAGE);
	call(DROP, t, 0, 0, 0, NULL);
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
