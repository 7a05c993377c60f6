// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Other tasks than the one whose pages are elsewhere: debuggers, children, who kills them. */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lodgetest.h"

#define CORE_PATTERN "/proc/sys/kernel/core_pattern"

/* The content of [AT, AT + pages) in a core file. */
static char *from_core(const char *name, u64 pages)
{
	char *m = malloc(pages * PAGE);
	int fd = open(name, O_RDONLY);
	Elf64_Ehdr head;
	Elf64_Phdr part;
	u64 had = 0;

	CHECK(fd >= 0 && pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head));
	memset(m, 0, pages * PAGE);
	for (int i = 0; i < head.e_phnum; i++) {
		u64 from, len, at = head.e_phoff + (u64)i * sizeof(part);

		CHECK(pread(fd, &part, sizeof(part), at) == (ssize_t)sizeof(part));
		if (part.p_type != PT_LOAD || part.p_vaddr >= (u64)AT + pages * PAGE ||
		    part.p_vaddr + part.p_filesz <= (u64)AT)
			continue;
		from = part.p_vaddr < (u64)AT ? (u64)AT : part.p_vaddr;
		len = part.p_vaddr + part.p_filesz - from;
		if (from + len > (u64)AT + pages * PAGE)
			len = (u64)AT + pages * PAGE - from;
		at = part.p_offset + from - part.p_vaddr;
		CHECK(pread(fd, m + (from - (u64)AT), len, at) == (ssize_t)len);
		had += len;
	}
	CHECK(had == pages * PAGE);
	close(fd);
	return m;
}

/* Of a process that dies with pages elsewhere the core file has all. */
void far_dumps(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const char *pattern = "/var/tmp/lodgetest.core";
	char usual[256] = "", *m;
	int fd = open(CORE_PATTERN, O_RDWR), w;
	pid_t k;

	CHECK(fd >= 0 && pread(fd, usual, sizeof(usual) - 1, 0) > 0);
	CHECK(pwrite(fd, pattern, strlen(pattern), 0) == (ssize_t)strlen(pattern));
	k = fork();
	if (!k) {
		far_memory(N, 0);
		setrlimit(RLIMIT_CORE, &unlimited);
		if (!fails)
			abort();
		_exit(1);
	}
	CHECK(waitpid(k, &w, 0) == k && WIFSIGNALED(w) && WTERMSIG(w) == SIGABRT && WCOREDUMP(w));
	CHECK(pwrite(fd, usual, strlen(usual), 0) == (ssize_t)strlen(usual));
	close(fd);
	m = from_core(pattern, N);
	CHECK(wrong(m, N, SEED) == 0);
	unlink(pattern);
	free(m);
}

static long peek(pid_t k, char *at)
{
	errno = 0;
	return ptrace(PTRACE_PEEKDATA, k, at, NULL);
}

/* A debugger reads and writes it. */
void far_traces(void)
{
	int w;
	pid_t k = fork();

	if (!k) {
		char *m = far_memory(N, 0);

		if (fails || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		for (u64 i = 0; i < 16; i++) {
			fails += *(u64 *)(m + 3 * i * PAGE + 16) != 1000 + i;
			*(u64 *)(m + 3 * i * PAGE + 16) = word(SEED_AT(3 * i), 2);
		}
		fails += wrong(m, N, SEED) != 0;
		_exit(fails != 0);
	}
	CHECK(waitpid(k, &w, 0) == k && WIFSTOPPED(w));
	for (u64 i = 0; i < 16; i++) {
		CHECK((u64)peek(k, AT + 5 * i * PAGE + 8) == word(SEED_AT(5 * i), 1) && !errno);
		CHECK(ptrace(PTRACE_POKEDATA, k, AT + 3 * i * PAGE + 16, 1000 + i) == 0);
		CHECK((u64)peek(k, AT + 3 * i * PAGE + 16) == 1000 + i && !errno);
	}
	CHECK(ptrace(PTRACE_CONT, k, NULL, NULL) == 0);
	CHECK(waitpid(k, &w, 0) == k && w == 0);
}

/* Shared by fork while they are elsewhere; each writes its own, and both have theirs sent away. */
void far_copies(void)
{
	char *m = far_memory(N, 0);
	int w, p[2];
	char go;
	pid_t k;

	CHECK(pipe(p) == 0);
	k = fork();
	if (!k) {
		CHECK(far_of(m, N) >= N / 2);
		fill(m, N / 2, 61);
		CHECK(send_away(m, N / 2, N / 4) >= N / 4);
		CHECK(read(p[0], &go, 1) == 1);
		CHECK(wrong(m, N / 2, 61) == 0);
		CHECK(wrong(m + N / 2 * PAGE, N / 2, SEED_AT(N / 2)) == 0);
		_exit(fails != 0);
	}
	CHECK(wrong(m, N / 4, SEED) == 0);
	fill(m, N / 4, 67);
	CHECK(write(p[1], "x", 1) == 1);
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	CHECK(wrong(m, N / 4, 67) == 0);
	CHECK(wrong(m + N / 4 * PAGE, 3 * N / 4, SEED_AT(N / 4)) == 0);
	CHECK(send_away(m, N, N / 2) >= N / 2);
	CHECK(wrong(m, N / 4, 67) == 0);
	close(p[0]);
	close(p[1]);
	drop(m);
}

/* What others map too stays, and is the same for all. */
void far_shared(void)
{
	u64 some = N / 4;
	int both = PROT_READ | PROT_WRITE;
	char *m = mmap(NULL, some * PAGE, both, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *held = map(some, 0);
	int w, p[2], q[2];
	char go = 0;
	pid_t k;

	CHECK(m != MAP_FAILED && pipe(p) == 0 && pipe(q) == 0);
	fill(m, some, 5);
	fill(held, some, SEED);
	k = fork();
	if (!k) {
		fails += write(q[1], &go, 1) != 1 || read(p[0], &go, 1) != 1;
		fails += wrong(m, some, 5) != 0 || wrong(held, some, SEED) != 0;
		fill(m, some, 9);
		_exit(fails != 0);
	}
	CHECK(read(q[0], &go, 1) == 1);
	press(N);
	CHECK(far_of(held, some) == 0);
	CHECK(write(p[1], &go, 1) == 1);
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	CHECK(wrong(m, some, 9) == 0);
	CHECK(wrong(held, some, SEED) == 0);
	munmap(m, some * PAGE);
	munmap(held, some * PAGE);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(q[i]);
	}
}

#define GROUP "/sys/fs/cgroup/lodgetest"

static u64 number(const char *file, const char *name)
{
	char text[1024] = "", *at;
	int fd = open(file, O_RDONLY);

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	at = strstr(text, name);
	CHECK(at);
	return at ? strtoull(at + strlen(name), NULL, 0) : 0;
}

static u64 entries(void)
{
	return number("/proc/sys/holon/lodge/owner", "entries ");
}

/* Killed for memory by the kernel: what was elsewhere is let go, by whoever takes the memory. */
void far_killed(void)
{
	u64 end = now_ns() + 60000000000ull, before = 0;
	int w, p[2];
	pid_t k;

	CHECK(pipe(p) == 0);
	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	CHECK(mkdir(GROUP, 0755) == 0);
	CHECK(put(GROUP "/memory.max", "64M"));
	k = fork();
	if (!k) {
		char self[16], *m;

		snprintf(self, sizeof(self), "%d", getpid());
		CHECK(put(GROUP "/cgroup.procs", self));
		m = far_memory(4 * N, 0);
		CHECK(wrong(m, N, SEED) == 0);
		before = entries();
		CHECK(write(p[1], &before, sizeof(before)) == sizeof(before));
		m = mmap(NULL, 64 * N * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		fill(m, 64 * N, 1);
		_exit(fails != 0);
	}
	CHECK(waitpid(k, &w, 0) == k && WIFSIGNALED(w) && WTERMSIG(w) == SIGKILL);
	CHECK(read(p[0], &before, sizeof(before)) == sizeof(before));
	CHECK(number(GROUP "/memory.events", "oom_kill ") == 1);
	/* Other processes' pages may have gone meanwhile, but not so many. */
	while (entries() + 2 * N > before && now_ns() < end)
		usleep(50000);
	CHECK(entries() + 2 * N <= before);
	CHECK(rmdir(GROUP) == 0);
	close(p[0]);
	close(p[1]);
}

/* Of a process's arguments and environment nothing goes: whoever lists processes reads them. */
int names(void)
{
	volatile char cold[64 * PAGE];
	u64 mine = (u64)&cold[PAGE] & ~(PAGE - 1), from = (u64)environ[0] & ~(PAGE - 1), to = from;
	char *m;

	for (char **e = environ; *e; e++)
		to = (u64)*e + strlen(*e);
	for (u64 i = 0; i < sizeof(cold); i++)
		cold[i] = 1;
	CHECK(to - from > 32 * PAGE);
	m = far_memory(N, 0);
	/* Its stack goes, next to them. 31 pages are the most that a string may have. */
	CHECK(send_away((char *)mine, 62, 32) >= 32);
	CHECK(far_of((char *)from, (to - from) / PAGE + 1) == 0);
	CHECK(wrong(m, N, SEED) == 0);
	for (u64 i = 0; i < sizeof(cold); i++)
		fails += cold[i] != 1;
	return fails != 0;
}

void far_names(void)
{
	char *large = malloc(40 * PAGE);
	char *args[] = { "lodgetest", "names-of", NULL };
	char *env[] = { large, large + 31 * PAGE + 1, NULL };
	int w;
	pid_t k;

	memset(large, 'x', 40 * PAGE - 1);
	memcpy(large, "LARGE=", 6);
	large[31 * PAGE] = 0;
	large[40 * PAGE - 1] = 0;
	k = fork();
	if (!k) {
		execve("/proc/self/exe", args, env);
		_exit(9);
	}
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	free(large);
}
