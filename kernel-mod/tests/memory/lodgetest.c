// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Has pages of its own sent to other nodes, does with them whatever a process may do with its
 * memory, and looks whether they are right. Needs a node that lends, and root.
 *
 *   lodgetest all          each test once
 *   lodgetest NAME         one of them
 *   lodgetest fails        each allocation fails once, of a module built with FEATURES=selftest
 *   lodgetest speed PAGES  evicts, fetches in order and at random; times
 *   lodgetest fill PAGES   more than there is memory: nothing is asked for, it has to go by itself
 *   lodgetest keep PAGES   evicts, prints "far", and reads all when a line comes: 0, or 1 and
 *                          "SIGBUS" if some were lost; never other content
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lodgetest.h"

static void far_reads(void)
{
	char *m = far_memory(N, 0);

	CHECK(wrong(m, N, SEED) == 0);
	drop(m);
}

static void far_huge_pages(void)
{
	char *m = far_memory(4 * N, 1);

	CHECK(wrong(m, 4 * N, SEED) == 0);
	munmap(m, 4 * N * PAGE);
}

/* Huge pages of which parts are unmapped, moved, dropped and protected while all are elsewhere. */
static void far_huge_parts(void)
{
	char *m = far_memory(4 * N, 1), *to = AT + (1ull << 32), *moved;

	CHECK(munmap(m + 100 * PAGE, 300 * PAGE) == 0);
	moved = mremap(m + 1000 * PAGE, 700 * PAGE, 700 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(moved == to);
	CHECK(madvise(m + 2000 * PAGE, 50 * PAGE, MADV_DONTNEED) == 0);
	CHECK(mprotect(m + 3000 * PAGE, 300 * PAGE, PROT_READ) == 0);
	CHECK(wrong(moved, 700, SEED_AT(1000)) == 0);
	CHECK(wrong(m, 100, SEED) == 0);
	CHECK(wrong(m + 400 * PAGE, 600, SEED_AT(400)) == 0);
	CHECK(wrong(m + 1700 * PAGE, 300, SEED_AT(1700)) == 0);
	CHECK(*(u64 *)(m + 2000 * PAGE) == 0 && *(u64 *)(m + 2049 * PAGE) == 0);
	CHECK(wrong(m + 2050 * PAGE, 4 * N - 2050, SEED_AT(2050)) == 0);
	munmap(moved, 700 * PAGE);
	munmap(m, 4 * N * PAGE);
}

static void far_writes(void)
{
	char *m = far_memory(N, 0);

	fill(m, N, 99);
	CHECK(wrong(m, N, 99) == 0);
	CHECK(send_away(m, N, N / 2) >= N / 2);
	CHECK(wrong(m, N, 99) == 0);
	drop(m);
}

static void far_forks(void)
{
	char *m = far_memory(N, 0);
	int w;
	pid_t k = fork();

	if (!k) {
		fails = wrong(m, N / 2, SEED) != 0;
		fill(m + N / 4 * PAGE, N / 2, 5);
		fails += wrong(m + N / 4 * PAGE, N / 2, 5) != 0;
		fails += wrong(m + 3 * N / 4 * PAGE, N / 4, SEED + 3 * N / 4 * PAGE_STEP) != 0;
		_exit(fails);
	}
	fill(m + 7 * N / 8 * PAGE, N / 8, 3);
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	CHECK(wrong(m, 7 * N / 8, SEED) == 0);
	CHECK(wrong(m + 7 * N / 8 * PAGE, N / 8, 3) == 0);
	drop(m);
}

static void far_moves(void)
{
	char *m = far_memory(N, 0), *to = AT + (1ull << 32);

	m = mremap(m, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(m == to);
	CHECK(wrong(m, N, SEED) == 0);
	drop(m);
}

static void far_unmaps(void)
{
	char *m = far_memory(N, 0);

	munmap(m + N / 4 * PAGE, N / 4 * PAGE);
	CHECK(madvise(m + N / 2 * PAGE, N / 4 * PAGE, MADV_DONTNEED) == 0);
	for (u64 i = 0; i < N / 4 * PAGE; i++)
		if (m[N / 2 * PAGE + i]) {
			CHECK(!"zeros");
			break;
		}
	CHECK(wrong(m, N / 4, SEED) == 0);
	CHECK(wrong(m + 3 * N / 4 * PAGE, N / 4, SEED + 3 * N / 4 * PAGE_STEP) == 0);
	drop(m);
}

static void far_protects(void)
{
	char *m = far_memory(N, 0);

	CHECK(mprotect(m, N * PAGE, PROT_READ) == 0);
	CHECK(wrong(m, N / 2, SEED) == 0);
	CHECK(mprotect(m, N * PAGE, PROT_READ | PROT_WRITE) == 0);
	fill(m, N, 17);
	CHECK(wrong(m, N, 17) == 0);
	drop(m);
}

static void far_advises(void)
{
	char *m = far_memory(N, 0);

	madvise(m, N / 4 * PAGE, MADV_WILLNEED);
	madvise(m, N / 4 * PAGE, MADV_COLD);
	madvise(m + N / 2 * PAGE, N / 4 * PAGE, MADV_HUGEPAGE);
	CHECK(madvise(m + N / 2 * PAGE, N / 4 * PAGE, MADV_POPULATE_READ) == 0);
	CHECK(madvise(m + 3 * N / 4 * PAGE, N / 4 * PAGE, MADV_POPULATE_WRITE) == 0);
	CHECK(wrong(m, N, SEED) == 0);
	drop(m);
}

static void far_locks(void)
{
	char *m = far_memory(N, 0);

	CHECK(mlock(m, N * PAGE) == 0);
	CHECK(far_of(m, N) == 0);
	press(N);
	CHECK(far_of(m, N) == 0);
	CHECK(wrong(m, N, SEED) == 0);
	drop(m);
}

/* The kernel and others read and write it. */
static void far_accesses(void)
{
	char *m = far_memory(N, 0), name[32];
	static char buffer[16 * PAGE];
	struct iovec mine = { buffer, sizeof(buffer) }, theirs = { m, sizeof(buffer) };
	int p[2], fd, w;
	pid_t k = fork();

	if (!k) {
		fails = process_vm_readv(getppid(), &mine, 1, &theirs, 1, 0) != sizeof(buffer);
		fails += wrong(buffer, 16, SEED) != 0;
		snprintf(name, sizeof(name), "/proc/%d/mem", getppid());
		fd = open(name, O_RDONLY);
		fails += pread(fd, buffer, PAGE, (off_t)(m + 20 * PAGE)) != (ssize_t)PAGE;
		fails += wrong(buffer, 1, SEED + 20 * PAGE_STEP) != 0;
		_exit(fails);
	}
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	CHECK(pipe(p) == 0);
	CHECK(write(p[1], m + 30 * PAGE, 4 * PAGE) == (ssize_t)(4 * PAGE));
	CHECK(read(p[0], m + 40 * PAGE, 4 * PAGE) == (ssize_t)(4 * PAGE));
	CHECK(wrong(m + 40 * PAGE, 4, SEED + 30 * PAGE_STEP) == 0);
	CHECK(wrong(m, 40, SEED) == 0);
	close(p[0]);
	close(p[1]);
	drop(m);
}

/* Ends amid its fetches; the pages must be let go all the same. */
static void far_exits(void)
{
	/* The children's children are to be waited for too. */
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	for (int i = 0; i < 4; i++) {
		pid_t k = fork();

		if (!k) {
			char *m = far_memory(N, 0);

			if (!fork()) {
				wrong(m, N, SEED);
				_exit(0);
			}
			if (i % 2)
				usleep(1000 * i);
			kill(getpid(), SIGKILL);
		}
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* Writes all the time while pages go and come. */
static void far_races(void)
{
	char *m = map(N, 0);
	u64 end = now_ns() + 5000000000ull, round = 0;

	fill(m, N, round);
	while (now_ns() < end) {
		u64 from = round * 37 % N, pages = N - from < 64 ? N - from : 64;

		if (round % 50 == 0)
			set("force_pages", N);
		fill(m + from * PAGE, pages, from * PAGE_STEP);
		if (wrong(m + from * PAGE, pages, from * PAGE_STEP)) {
			CHECK(!"content");
			break;
		}
		round++;
	}
	printf("  %lu rounds, %lu far\n", round, far_of(m, N));
	CHECK(wrong(m, N, 0) == 0);
	drop(m);
}

static u64 rate(u64 pages, u64 ns)
{
	return pages * PAGE * 1000 / (ns ? ns : 1);
}

static void speed(u64 pages)
{
	u64 t0, away, far, order, mixed, at = 1;
	char *m = map(pages, 0), sum = 0;

	fill(m, pages, SEED);
	for (int random = 0; random < 2; random++) {
		t0 = now_ns();
		far = send_away(m, pages, pages * 9 / 10);
		away = now_ns() - t0;
		printf("  evicted %lu pages, %lu MB/s with the wait for its start\n", far,
		       rate(far, away));
		t0 = now_ns();
		for (u64 i = 0; i < pages; i++) {
			at = random ? (at * 5 + 3) % pages : i;
			sum += m[at * PAGE];
		}
		(random ? &mixed : &order)[0] = now_ns() - t0;
	}
	printf("  fetched in order %lu MB/s, at random %lu us each (%d)\n", rate(far, order),
	       mixed / 1000 / (far ? far : 1), sum);
	CHECK(wrong(m, pages, SEED) == 0);
	munmap(m, pages * PAGE);
}

static void fill_memory(u64 pages)
{
	u64 t0 = now_ns(), at = 1, bad = 0;
	char *m = mmap(AT, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	CHECK(m == AT);
	fill(m, pages, SEED);
	printf("  filled in %lu ms, %lu of %lu pages far\n", (now_ns() - t0) / 1000000,
	       far_of(m, pages), pages);
	t0 = now_ns();
	CHECK(wrong(m, pages, SEED) == 0);
	printf("  read in %lu ms\n", (now_ns() - t0) / 1000000);
	t0 = now_ns();
	for (u64 i = 0; i < pages / 4; i++) {
		at = (at * 6364136223846793005ull + 1442695040888963407ull);
		bad += wrong(m + (at >> 33) % pages * PAGE, 1, SEED_AT((at >> 33) % pages)) != 0;
	}
	printf("  a quarter of it at random in %lu ms\n", (now_ns() - t0) / 1000000);
	CHECK(bad == 0);
	munmap(m, pages * PAGE);
}

/* Bytes that were sent for each page on the average, and the pages are right. */
static u64 sent_for_a_page(void)
{
	u64 pages = get("pages_copied"), bytes = get("packed_bytes");
	char *m = far_memory(N, 0);

	pages = get("pages_copied") - pages;
	bytes = get("packed_bytes") - bytes;
	CHECK(pages >= N * 9 / 10);
	CHECK(wrong(m, N, SEED) == 0);
	munmap(m, N * PAGE);
	return pages ? bytes / pages : 0;
}

/* What can be packed goes packed, the rest as it is, unless nothing is to be packed. */
static void far_packs(void)
{
	u64 sent = sent_for_a_page();

	CHECK(sent > PAGE / 4 && sent < PAGE * 9 / 10);
	set("pack", 0);
	CHECK(sent_for_a_page() == PAGE);
	set("pack", 1);
}

static void keep(u64 pages)
{
	char *m = far_memory(pages, 0);
	u64 bad = 0, gone = 0, i;
	char line[16];

	catch_bus();
	printf("far %lu\n", far_of(m, pages));
	fflush(stdout);
	CHECK(read(0, line, sizeof(line)) >= 0);
	for (i = 0; i < pages; i++) {
		if (bus(m + i * PAGE))
			gone++;
		else
			bad += wrong(m + i * PAGE, 1, SEED_AT(i)) != 0;
	}
	printf("%s: %lu lost, %lu wrong\n", gone ? "SIGBUS" : "all here", gone, bad);
	CHECK(bad == 0);
	fails += gone != 0;
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "reads", far_reads },
	{ "packs", far_packs },
	{ "huge-pages", far_huge_pages },
	{ "huge-parts", far_huge_parts },
	{ "writes", far_writes },
	{ "forks", far_forks },
	{ "moves", far_moves },
	{ "unmaps", far_unmaps },
	{ "protects", far_protects },
	{ "advises", far_advises },
	{ "locks", far_locks },
	{ "accesses", far_accesses },
	{ "direct-io", far_direct_io },
	{ "ring", far_ring },
	{ "splices", far_splices },
	{ "locks-all", far_locks_all },
	{ "merges", far_merges },
	{ "watched", far_watched },
	{ "frees", far_frees },
	{ "collapses", far_collapses },
	{ "pages-out", far_pages_out },
	{ "dumps", far_dumps },
	{ "traces", far_traces },
	{ "copies", far_copies },
	{ "shared", far_shared },
	{ "killed", far_killed },
	{ "names", far_names },
	{ "exits", far_exits },
	{ "races", far_races },
};

int main(int argc, char **argv)
{
	int known = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "names-of"))
		return names();
	set("scope", 2);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		if (strcmp(argv[1], "all") && strcmp(argv[1], tests[i].name))
			continue;
		printf("%s\n", tests[i].name);
		tests[i].run();
		known = 1;
	}
	if (!known && argc == 3 && !strcmp(argv[1], "speed"))
		speed(strtoull(argv[2], NULL, 0));
	else if (!known && argc == 3 && !strcmp(argv[1], "fill"))
		fill_memory(strtoull(argv[2], NULL, 0));
	else if (!known && !strcmp(argv[1], "fails"))
		far_fails();
	else if (!known && argc == 3 && !strcmp(argv[1], "keep"))
		keep(strtoull(argv[2], NULL, 0));
	else if (!known)
		return 2;
	printf("lodgetest: %d failures\n", fails);
	return fails != 0;
}
