// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Others work on memory that is not here yet: devices, rings that pin it for long, debuggers, and
 * the kernel when it kills for memory.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memtest.h"

/* A device reads from pages that are not here, and writes into others. */
void direct_io(void)
{
	u64 n = 512, some = n / 4;
	struct moved v = moved_from(make_filled, n, 1);
	char *m = v.at;
	int fd = scratch(some, O_DIRECT);

	CHECK(pwrite(fd, m, some * PAGE, 0) == (ssize_t)(some * PAGE));
	CHECK(stat_of(v.target).arg[2] == n - some);
	CHECK(pread(fd, m + n / 2 * PAGE, some * PAGE, 0) == (ssize_t)(some * PAGE));
	CHECK(wrong(m + n / 2 * PAGE, some, SEED) == 0);
	fetch_all(v.target);
	CHECK(wrong(m, n / 2, SEED) == 0);
	CHECK(wrong(m + n / 2 * PAGE, some, SEED) == 0);
	CHECK(wrong(m + 3 * n / 4 * PAGE, n / 4, SEED_AT(3 * n / 4)) == 0);
	close(fd);
	finish(v);
}

/* What is pinned for long is here before, and stays where it is while the rest comes. */
void pinned(void)
{
	u64 n = 512, some = 64;
	struct moved v = moved_from(make_filled, n, 1);
	struct io_uring_params params = { 0 };
	struct iovec buffer = { v.at, some * PAGE };
	int ring = syscall(SYS_io_uring_setup, 1, &params);

	CHECK(ring >= 0);
	CHECK(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) == 0);
	CHECK(stat_of(v.target).arg[2] <= n - some);
	fetch_all(v.target);
	CHECK(wrong(v.at, n, SEED) == 0);
	CHECK(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0) == 0);
	close(ring);
	finish(v);
}

/* A debugger reads and writes pages that its child has not fetched; its own stay as they are. */
void traced(void)
{
	u64 n = 64;
	struct moved v = moved_from(make_filled, n, 1);
	u64 *far = (u64 *)(v.at + 9 * PAGE), *other = (u64 *)(v.at + 20 * PAGE);
	pid_t k = fork();
	int w;

	if (!k) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(*other != 5 || wrong(v.at, 20, SEED) != 0);
	}
	CHECK(waitpid(k, &w, 0) == k && WIFSTOPPED(w));
	errno = 0;
	CHECK((u64)ptrace(PTRACE_PEEKDATA, k, far, NULL) == word(SEED_AT(9), 0) && errno == 0);
	CHECK(ptrace(PTRACE_POKEDATA, k, other, 5) == 0);
	CHECK(ptrace(PTRACE_DETACH, k, NULL, NULL) == 0);
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	CHECK(wrong(v.at, n, SEED) == 0);
	call(START, v.target, 0, 0, 0, NULL);
	finish(v);
}

#define GROUP "/sys/fs/cgroup/memtest"

/* Killed for memory by the kernel, while some of its own is not here: that is let go. */
void killed(void)
{
	u64 n = 2048, t = 0;
	struct source s = source_of(make_filled, n, LOOP, 1);
	int p[2], w;
	pid_t k;

	CHECK(pipe(p) == 0);
	/* It may be there already. */
	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	CHECK(mkdir(GROUP, 0755) == 0 && put(GROUP "/memory.max", "32M"));
	k = fork();
	if (!k) {
		char self[16], *m;

		snprintf(self, sizeof(self), "%d", getpid());
		CHECK(put(GROUP "/cgroup.procs", self));
		map(n, 0);
		t = target_of(s.id, LOOP, n, 0, NULL);
		CHECK(write(p[1], &t, sizeof(t)) == sizeof(t));
		CHECK(wrong(AT, 16, SEED) == 0);
		m = mmap(NULL, 64ull << 20, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		fill(m, (64ull << 20) / PAGE, 1);
		_exit(1);
	}
	/* So that the read ends if it dies before. */
	close(p[1]);
	CHECK(read(p[0], &t, sizeof(t)) == sizeof(t));
	CHECK(waitpid(k, &w, 0) == k && WIFSIGNALED(w) && WTERMSIG(w) == SIGKILL);
	call(START, t, 0, 0, 0, NULL);
	over(t);
	CHECK(rmdir(GROUP) == 0);
	end(s);
	close(p[0]);
}
