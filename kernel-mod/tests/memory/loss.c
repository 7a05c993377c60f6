// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Memory that can't be had: its source is dead, its space not open yet, its move called off.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memtest.h"

void lost(int running)
{
	u64 n = 64;
	struct moved v = moved_from(make_filled, n, 0);
	char *m = v.at;
	u64 t = v.target;
	int p[2], rc;

	if (running) {
		call(OPEN, v.source.id, 0, 0, 0, NULL);
		CHECK(wrong(m, 8, SEED) == 0);
	}
	call(PEER_DOWN, LOOP, 0, 0, 0, NULL);
	catch_bus();
	CHECK(bus(m + 50 * PAGE));
	CHECK(pipe(p) == 0);
	CHECK(write(p[1], m + 50 * PAGE, 10) == -1 && errno == EFAULT);
	if (running)
		CHECK(wrong(m, 8, SEED) == 0);
	call(START, t, 0, 0, 0, &rc);
	CHECK(rc == -EIO);
	CHECK(stat_of(t).arg[3] == 1);
	CHECK(stat_of(t).arg[2] == (running ? n - 8 : n));
	munmap(m, n * PAGE);
	CHECK(stat_of(t).arg[2] == 0);
	call(DROP, t, 0, 0, 0, NULL);
	end(v.source);
	close(p[0]);
	close(p[1]);
}

/* A fault waits for a closed space; it ends when the space opens, or with the task. */
void closed(void)
{
	u64 n = 16;
	struct moved v = moved_from(make_filled, n, 0);
	u64 t = v.target;
	int w;
	pid_t k;

	k = fork();
	if (!k)
		_exit(wrong(AT, 1, SEED) != 0);
	usleep(300000);
	CHECK(waitpid(k, &w, WNOHANG) == 0);
	kill(k, SIGKILL);
	CHECK(waitpid(k, &w, 0) == k && WIFSIGNALED(w));
	k = fork();
	if (!k)
		_exit(wrong(AT, n, SEED) != 0);
	usleep(100000);
	call(OPEN, v.source.id, 0, 0, 0, NULL);
	CHECK(waitpid(k, &w, 0) == k && w == 0);
	CHECK(wrong(AT, n, SEED) == 0);
	munmap(AT, n * PAGE);
	call(START, t, 0, 0, 0, NULL);
	over(t);
	end(v.source);
}

/* A process that dies of lost pages leaves a core file, and does not hang in it. */
void core_dump(void)
{
	u64 n = 64;
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct sigaction sa = { .sa_handler = SIG_DFL };
	struct moved v = moved_from(make_filled, n, 1);
	char *m = v.at;
	u64 t = v.target;
	pid_t k;
	int w;

	CHECK(wrong(m, 5, SEED) == 0);
	call(PEER_DOWN, LOOP, 0, 0, 0, NULL);
	k = fork();
	if (!k) {
		CHECK(chdir("/tmp") == 0);
		setrlimit(RLIMIT_CORE, &unlimited);
		sigaction(SIGBUS, &sa, NULL);
		_exit(wrong(m, n, SEED) != 0);
	}
	CHECK(waitpid(k, &w, 0) == k && WIFSIGNALED(w) && WTERMSIG(w) == SIGBUS);
	printf("  %s\n", WCOREDUMP(w) ? "core dumped" : "no core");
	munmap(m, n * PAGE);
	call(DROP, t, 0, 0, 0, NULL);
	end(v.source);
}

/* Called off before it ran: nothing may be left on either side. */
void called_off(void)
{
	u64 n = 128;
	struct moved v = moved_from(make_filled, n, 0);
	char *m = v.at;
	u64 t = v.target;

	call(DROP, t, 0, 0, 0, NULL);
	call(DROP_SOURCE, v.source.id, 0, 0, 0, NULL);
	munmap(m, n * PAGE);
	end(v.source);
}
