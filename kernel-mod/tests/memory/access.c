// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Whatever a process does with memory that is not here yet: it reads and writes it, forks, moves
 * and drops its mappings, hands it to the kernel, ends.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memtest.h"

void basic(int huge)
{
	u64 n = 16384, ns, t0, t1;
	struct source s = source_of(huge ? make_filled_huge : make_filled, n, LOOP, 1);
	char *m = map(n, huge);
	u64 t = target_of(s.id, LOOP, n, 0, &ns);

	CHECK(stat_of(t).arg[2] == n);
	t0 = now_ns();
	CHECK(wrong(m, 1024, SEED) == 0);
	t1 = now_ns();
	CHECK(stat_of(t).arg[2] == n - 1024);
	printf("  insert %lu ns/page, fault %lu ns/page, ", ns, (t1 - t0) / 1024);
	t0 = now_ns();
	fetch_all(t);
	t1 = now_ns();
	printf("stream %lu ns/page = %lu MB/s\n", (t1 - t0) / (n - 1024),
	       (u64)((n - 1024) * PAGE * 1000 / (t1 - t0)));
	CHECK(wrong(m, n, SEED) == 0);
	munmap(m, n * PAGE);
	over(t);
	end(s);
}

void child_of(int late_write)
{
	u64 n = 256;
	struct moved v = moved_from(make_filled, n, 1);
	char *m = v.at;
	u64 t = v.target;
	int p[2], w;
	pid_t k;

	CHECK(pipe(p) == 0);
	k = fork();
	if (!k) {
		char x;

		if (late_write)
			CHECK(read(p[0], &x, 1) == 1);
		fails += wrong(m, n, SEED) != 0;
		fill(m, n, 1);
		_exit(fails);
	}
	call(START, t, 0, 0, 0, NULL);
	if (late_write) {
		fill(m, n, 55);
		CHECK(write(p[1], "x", 1) == 1);
	}
	CHECK(wrong(m, n, late_write ? 55 : SEED) == 0);
	waitpid(k, &w, 0);
	CHECK(w == 0);
	CHECK(wrong(m, n, late_write ? 55 : SEED) == 0);
	finish(v);
	close(p[0]);
	close(p[1]);
}

void moved_mapping(void)
{
	u64 n = 512;
	struct moved v = moved_from(make_filled, n, 1);
	char *m = v.at, *q;
	u64 t = v.target;

	q = mremap(m, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT + (1ull << 32));
	CHECK(q != MAP_FAILED);
	CHECK(wrong(q, n / 2, SEED) == 0);
	munmap(q, n / 2 * PAGE);
	call(START, t, 0, 0, 0, NULL);
	CHECK(wrong(q + n / 2 * PAGE, n / 2, SEED_AT(n / 2)) == 0);
	munmap(q, n * PAGE);
	over(t);
	end(v.source);
}

void unmapped(void)
{
	u64 n = 512;
	struct moved v = moved_from(make_filled, n, 1);
	char *m = v.at;
	u64 t = v.target;

	munmap(m, 100 * PAGE);
	CHECK(stat_of(t).arg[2] == 412);
	madvise(m + 200 * PAGE, 10 * PAGE, MADV_DONTNEED);
	CHECK(stat_of(t).arg[2] == 402);
	for (int i = 200; i < 210; i++)
		CHECK(m[i * PAGE] == 0);
	CHECK(mprotect(m + 300 * PAGE, 50 * PAGE, PROT_READ) == 0);
	CHECK(wrong(m + 300 * PAGE, 50, SEED_AT(300)) == 0);
	fetch_all(t);
	CHECK(wrong(m + 210 * PAGE, 302, SEED_AT(210)) == 0);
	finish(v);
}

/* A process ends amid all of it. */
void exits(int huge)
{
	u64 n = huge ? 4096 : 1024, at = huge ? 900 : 0, t;
	struct source s = source_of(huge ? make_filled_huge : make_filled, n, LOOP, 1);
	int p[2];
	pid_t k;

	CHECK(pipe(p) == 0);
	k = fork();
	if (!k) {
		map(n, huge);
		t = target_of(s.id, LOOP, n, huge ? AS_HUGE : 0, NULL);
		call(START, t, 0, 0, 0, NULL);
		CHECK(write(p[1], &t, sizeof(t)) == sizeof(t));
		_exit(wrong(AT + at * PAGE, 10, SEED_AT(at)) != 0);
	}
	CHECK(read(p[0], &t, sizeof(t)) == sizeof(t));
	waitpid(k, NULL, 0);
	over(t);
	end(s);
	close(p[0]);
	close(p[1]);
}

/* The kernel itself reads and writes far pages, for their process and for another. */
void kernel_access(void)
{
	u64 n = 64;
	struct moved v = moved_from(make_filled, n, 1);
	char *m = v.at, buf[2 * PAGE];
	u64 t = v.target;
	struct iovec to = { buf, sizeof(buf) }, from = { m + 8 * PAGE, sizeof(buf) };
	int p[2], mem;

	CHECK(pipe(p) == 0);
	CHECK(write(p[1], m, PAGE) == PAGE && read(p[0], m + PAGE, PAGE) == PAGE);
	CHECK(wrong(m + PAGE, 1, SEED) == 0);
	CHECK(process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (long)sizeof(buf));
	CHECK(wrong(buf, 2, SEED_AT(8)) == 0);
	mem = open("/proc/self/mem", O_RDWR);
	CHECK(pread(mem, buf, PAGE, (long)(m + 20 * PAGE)) == PAGE);
	CHECK(wrong(buf, 1, SEED_AT(20)) == 0);
	CHECK(pwrite(mem, buf, PAGE, (long)(m + 30 * PAGE)) == PAGE);
	CHECK(wrong(m + 30 * PAGE, 1, SEED_AT(20)) == 0);
	CHECK(mlock(m + 40 * PAGE, 8 * PAGE) == 0);
	CHECK(munlock(m + 40 * PAGE, 8 * PAGE) == 0);
	CHECK(stat_of(t).arg[2] == n - 2 - 2 - 2 - 8);
	CHECK(wrong(m + 31 * PAGE, n - 31, SEED_AT(31)) == 0);
	munmap(m, n * PAGE);
	call(START, t, 0, 0, 0, NULL);
	over(t);
	end(v.source);
	close(p[0]);
	close(p[1]);
	close(mem);
}

/* Advice about far pages must not cost their content. */
void advice(void)
{
	static const int all[] = { MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT, MADV_MERGEABLE,
				   MADV_HUGEPAGE, 25 /* MADV_COLLAPSE */, MADV_SEQUENTIAL };
	u64 n = 1024;
	struct moved v = moved_from(make_filled, n, 1);
	char *m = v.at;
	u64 t = v.target;

	CHECK(wrong(m, 100, SEED) == 0);
	for (u64 i = 0; i < sizeof(all) / sizeof(*all); i++)
		madvise(m, n * PAGE, all[i]);
	CHECK(wrong(m, 300, SEED) == 0);
	call(START, t, 0, 0, 0, NULL);
	for (u64 i = 0; i < sizeof(all) / sizeof(*all); i++)
		madvise(m, n * PAGE, all[i]);
	call(WAIT, t, 10000, 0, 0, NULL);
	CHECK(wrong(m, n, SEED) == 0);
	finish(v);
}
