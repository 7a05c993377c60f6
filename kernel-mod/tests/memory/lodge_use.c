// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The kernel works on lodged pages for their own process: direct I/O, pins that last, merging,
 * locking, advice, faults that user space answers.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lodgetest.h"

/* A device reads from lodged pages and writes into them. */
void far_direct_io(void)
{
	u64 some = N / 4;
	char *m = far_memory(N, 0), *copy = malloc(some * PAGE);
	int fd = scratch(some, O_DIRECT);

	CHECK(pwrite(fd, m, some * PAGE, 0) == (ssize_t)(some * PAGE));
	CHECK(fcntl(fd, F_SETFL, 0) == 0);
	CHECK(pread(fd, copy, some * PAGE, 0) == (ssize_t)(some * PAGE));
	CHECK(wrong(copy, some, SEED) == 0);
	fill(copy, some, 31);
	CHECK(pwrite(fd, copy, some * PAGE, 0) == (ssize_t)(some * PAGE));
	CHECK(fsync(fd) == 0 && fcntl(fd, F_SETFL, O_DIRECT) == 0);
	CHECK(far_of(m + N / 2 * PAGE, some) > some / 2);
	CHECK(pread(fd, m + N / 2 * PAGE, some * PAGE, 0) == (ssize_t)(some * PAGE));
	CHECK(wrong(m + N / 2 * PAGE, some, 31) == 0);
	CHECK(wrong(m, N / 2, SEED) == 0);
	CHECK(wrong(m + 3 * N / 4 * PAGE, N / 4, SEED_AT(3 * N / 4)) == 0);
	free(copy);
	close(fd);
	drop(m);
}

/* Has one read into a registered buffer done by the ring, and waits for it. */
static void ring_reads(int ring, const struct io_uring_params *p, int fd, char *to, u64 bytes)
{
	u64 sq_len = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	u64 cq_len = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	int shared = PROT_READ | PROT_WRITE;
	char *sq = mmap(NULL, sq_len, shared, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, cq_len, shared, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *sqe = mmap(NULL, PAGE, shared, MAP_SHARED, ring, IORING_OFF_SQES);
	struct io_uring_cqe *cqe;

	CHECK(sq != MAP_FAILED && cq != MAP_FAILED && sqe != MAP_FAILED);
	*sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_READ_FIXED, .fd = fd, .addr = (u64)to, .len = bytes
	};
	((unsigned int *)(sq + p->sq_off.array))[0] = 0;
	atomic_store((_Atomic unsigned int *)(sq + p->sq_off.tail), 1);
	CHECK(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
	cqe = (struct io_uring_cqe *)(cq + p->cq_off.cqes);
	CHECK(cqe->res == (int)bytes);
	munmap(sq, sq_len);
	munmap(cq, cq_len);
	munmap(sqe, PAGE);
}

/* Pages that are pinned for long come home before, and stay: what is written by the pin is seen. */
void far_ring(void)
{
	u64 some = 64;
	char *m = far_memory(N, 0), *copy = malloc(some * PAGE);
	struct io_uring_params params = { 0 };
	struct iovec buffer = { m, some * PAGE };
	int ring = syscall(SYS_io_uring_setup, 1, &params), fd = scratch(some, 0);

	CHECK(ring >= 0);
	CHECK(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) == 0);
	CHECK(far_of(m, some) == 0);
	CHECK(wrong(m, some, SEED) == 0);
	press(N);
	CHECK(far_of(m, some) == 0);
	fill(copy, some, 77);
	CHECK(pwrite(fd, copy, some * PAGE, 0) == (ssize_t)(some * PAGE));
	ring_reads(ring, &params, fd, m, some * PAGE);
	CHECK(wrong(m, some, 77) == 0);
	CHECK(wrong(m + some * PAGE, N - some, SEED_AT(some)) == 0);
	CHECK(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0) == 0);
	close(ring);
	/* What was pinned may go again. */
	CHECK(send_away(m, some, some / 2) >= some / 2);
	CHECK(wrong(m, some, 77) == 0);
	free(copy);
	close(fd);
	drop(m);
}

/* Pages in a pipe are held for as long as nobody reads them. */
void far_splices(void)
{
	u64 some = 8;
	char *m = far_memory(N, 0), copy[8 * PAGE];
	struct iovec from = { m, some * PAGE };
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(vmsplice(p[1], &from, 1, 0) == (ssize_t)(some * PAGE));
	press(N);
	CHECK(far_of(m, some) == 0);
	CHECK(read(p[0], copy, sizeof(copy)) == (ssize_t)sizeof(copy));
	CHECK(wrong(copy, some, SEED) == 0);
	CHECK(wrong(m, N, SEED) == 0);
	close(p[0]);
	close(p[1]);
	drop(m);
}

void far_locks_all(void)
{
	char *m = far_memory(N, 0);

	CHECK(mlock2(m, N / 2 * PAGE, MLOCK_ONFAULT) == 0);
	CHECK(wrong(m, N / 4, SEED) == 0);
	press(N);
	/* What was touched under the lock stays. */
	CHECK(far_of(m, N / 4) == 0);
	CHECK(mlockall(MCL_CURRENT) == 0);
	CHECK(far_of(m, N) == 0);
	CHECK(wrong(m, N, SEED) == 0);
	CHECK(munlockall() == 0);
	CHECK(send_away(m, N, N / 2) >= N / 2);
	CHECK(wrong(m, N, SEED) == 0);
	drop(m);
}

static u64 merged(void)
{
	char text[32] = "";
	int fd = open("/proc/self/ksm_merging_pages", O_RDONLY);

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(text, NULL, 0);
}

/* What is elsewhere is not merged: pages that went for want of memory are brought back. */
static void wait_merged(u64 pages, const char *from, u64 count)
{
	u64 end = now_ns() + 120000000000ull;

	while (merged() < pages && now_ns() < end) {
		for (u64 i = 0; i < count; i++)
			(void)*(volatile const char *)(from + i * PAGE);
		usleep(50000);
	}
	CHECK(merged() >= pages);
}

/* They are merged, and written apart, while others are on their way out. */
static void merge_meanwhile(char *twin, u64 some)
{
	for (u64 seed = 100; seed < 110; seed++) {
		fill(twin, some, seed);
		fill(twin + some * PAGE, some, seed);
		for (int i = 0; i < 6; i++) {
			set("force_pages", 2 * some);
			usleep(50000);
		}
		CHECK(far_of(twin, 2 * some) == 0);
		CHECK(wrong(twin, some, seed) == 0);
		CHECK(wrong(twin + some * PAGE, some, seed) == 0);
	}
}

/* What is marked for merging stays, lodged pages are not merged, and both have their content. */
void far_merges(void)
{
	u64 some = N / 4, twins = 2 * some;
	char *m = far_memory(N, 0), *twin;

	twin = mmap(NULL, twins * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(twin != MAP_FAILED);
	fill(twin, some, SEED);
	fill(twin + some * PAGE, some, SEED);
	CHECK(put("/sys/kernel/mm/ksm/pages_to_scan", "20000"));
	CHECK(put("/sys/kernel/mm/ksm/sleep_millisecs", "20"));
	CHECK(put("/sys/kernel/mm/ksm/run", "1"));
	/* The same content, elsewhere: nothing of it is merged as long as it is there. */
	CHECK(madvise(m, some * PAGE, MADV_MERGEABLE) == 0);
	CHECK(madvise(twin, twins * PAGE, MADV_MERGEABLE) == 0);
	wait_merged(twins * 9 / 10, twin, twins);
	CHECK(far_of(m, some) > some / 2);
	press(N);
	CHECK(far_of(twin, twins) == 0);
	/* It comes home, and is merged; each is written apart. */
	CHECK(wrong(m, N, SEED) == 0);
	wait_merged((twins + some) * 9 / 10, m, some);
	CHECK(wrong(m, N, SEED) == 0);
	fill(twin, some / 2, 41);
	fill(m + some / 2 * PAGE, some / 2, 43);
	CHECK(wrong(twin, some / 2, 41) == 0);
	CHECK(wrong(m + some / 2 * PAGE, some / 2, 43) == 0);
	CHECK(wrong(m, some / 2, SEED) == 0);
	CHECK(wrong(twin + some / 2 * PAGE, some / 2, SEED_AT(some / 2)) == 0);
	CHECK(wrong(twin + some * PAGE, some, SEED) == 0);
	CHECK(wrong(m + some * PAGE, N - some, SEED_AT(some)) == 0);
	merge_meanwhile(twin, some);
	CHECK(put("/sys/kernel/mm/ksm/run", "2"));
	CHECK(merged() == 0);
	CHECK(wrong(m, some / 2, SEED) == 0);
	CHECK(put("/sys/kernel/mm/ksm/run", "0"));
	munmap(twin, twins * PAGE);
	drop(m);
}

struct watch {
	int fd;
	u64 events;
};

/* Lets each page be written to that somebody wants to write to. */
static void *watcher(void *arg)
{
	struct watch *watch = arg;
	struct uffd_msg msg;

	while (read(watch->fd, &msg, sizeof(msg)) == (ssize_t)sizeof(msg)) {
		struct uffdio_writeprotect open = {
			.range = { msg.arg.pagefault.address & ~(PAGE - 1), PAGE },
		};

		if (msg.event != UFFD_EVENT_PAGEFAULT ||
		    !(msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP))
			break;
		watch->events++;
		if (ioctl(watch->fd, UFFDIO_WRITEPROTECT, &open))
			break;
	}
	return NULL;
}

/*
 * Under a userfaultfd lodged pages are there, and not missing; that they are protected from
 * writing goes with them; and from then on none goes.
 */
void far_watched(void)
{
	char *m = far_memory(N, 0);
	u64 some = N / 4;
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register range = {
		.range = { (u64)m, some * PAGE },
		.mode = UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_writeprotect protect = {
		.range = { (u64)m, some * PAGE }, .mode = UFFDIO_WRITEPROTECT_MODE_WP
	};
	struct watch watch = { .fd = syscall(SYS_userfaultfd, O_CLOEXEC) };
	pthread_t thread;

	CHECK(watch.fd >= 0 && ioctl(watch.fd, UFFDIO_API, &api) == 0);
	CHECK(ioctl(watch.fd, UFFDIO_REGISTER, &range) == 0);
	CHECK(ioctl(watch.fd, UFFDIO_WRITEPROTECT, &protect) == 0);
	CHECK(pthread_create(&thread, NULL, watcher, &watch) == 0);
	CHECK(wrong(m, some / 2, SEED) == 0);
	press(N);
	CHECK(far_of(m, some / 2) == 0);
	for (u64 i = 0; i < some; i++)
		*(u64 *)(m + i * PAGE) += 1;
	CHECK(watch.events == some);
	for (u64 i = 0; i < some; i++)
		*(u64 *)(m + i * PAGE) -= 1;
	CHECK(watch.events == some);
	CHECK(wrong(m, N, SEED) == 0);
	CHECK(ioctl(watch.fd, UFFDIO_UNREGISTER, &range.range) == 0);
	CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
	close(watch.fd);
	drop(m);
}

/* Freed pages may be zeros; what is not has its content, and what is written then stays. */
void far_frees(void)
{
	char *m = far_memory(N, 0);
	u64 other = 0;

	CHECK(madvise(m, N / 2 * PAGE, MADV_FREE) == 0);
	CHECK(send_away(m + N / 2 * PAGE, N / 2, N / 4) >= N / 4);
	for (u64 i = 0; i < N / 2; i++) {
		u64 first = *(u64 *)(m + i * PAGE);

		other += first && first != SEED_AT(i);
		other += first && wrong(m + i * PAGE, 1, SEED_AT(i));
	}
	CHECK(other == 0);
	fill(m, N / 2, 23);
	CHECK(madvise(m + N / 2 * PAGE, N / 8 * PAGE, MADV_DONTNEED) == 0);
	CHECK(far_of(m + N / 2 * PAGE, N / 8) == 0);
	fill(m + N / 2 * PAGE, N / 8, 29);
	CHECK(madvise(m + 7 * N / 8 * PAGE, N / 8 * PAGE, MADV_DONTNEED_LOCKED) == 0);
	CHECK(*(u64 *)(m + 7 * N / 8 * PAGE) == 0);
	CHECK(send_away(m, N / 2, N / 4) >= N / 4);
	CHECK(wrong(m, N / 2, 23) == 0);
	CHECK(wrong(m + N / 2 * PAGE, N / 8, 29) == 0);
	CHECK(wrong(m + 5 * N / 8 * PAGE, N / 4, SEED_AT(5 * N / 8)) == 0);
	drop(m);
}

/* Made into huge pages, as far as the kernel wants to. */
void far_collapses(void)
{
	char *m = far_memory(N, 0);
	int made;

	CHECK(madvise(m, N * PAGE, MADV_HUGEPAGE) == 0);
	made = madvise(m, N / 2 * PAGE, MADV_COLLAPSE) == 0;
	CHECK(wrong(m, N / 2, SEED) == 0);
	CHECK(wrong(m + N / 2 * PAGE, N / 2, SEED_AT(N / 2)) == 0);
	/* Some of them are elsewhere again. */
	CHECK(send_away(m, N, N / 8) >= N / 8);
	made += madvise(m, N * PAGE, MADV_COLLAPSE) == 0;
	printf("  collapsed %d times\n", made);
	CHECK(wrong(m, N, SEED) == 0);
	fill(m, N, 3);
	CHECK(wrong(m, N, 3) == 0);
	CHECK(send_away(m, N, N / 2) >= N / 2);
	CHECK(wrong(m, N, 3) == 0);
	drop(m);
}

/* The kernel's own page-out beside ours. */
void far_pages_out(void)
{
	char *m = far_memory(N, 0);

	CHECK(madvise(m, N * PAGE, MADV_PAGEOUT) == 0);
	CHECK(wrong(m, N / 2, SEED) == 0);
	CHECK(madvise(m, N * PAGE, MADV_PAGEOUT) == 0);
	CHECK(madvise(m, N * PAGE, MADV_COLD) == 0);
	CHECK(send_away(m, N, N / 2) >= N / 2);
	CHECK(wrong(m, N, SEED) == 0);
	drop(m);
}
