// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// rights USER: prints who it is and what it may at each SIGUSR2, a line each; gives most of it up
// at SIGUSR1, with USER as its real user from then on; ends at SIGTERM. Every field is one that an
// exec would compute anew or lose.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t drop, tell, ended;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		drop = 1;
	else if (number == SIGUSR2)
		tell++;
	else
		ended = 1;
}

static int set_caps(__u64 permitted, __u64 effective, __u64 inheritable)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (__u32)effective, (__u32)permitted, (__u32)inheritable },
		{ (__u32)(effective >> 32), (__u32)(permitted >> 32), (__u32)(inheritable >> 32) },
	};
	return syscall(SYS_capset, &head, data);
}

static int give_up(uid_t real)
{
	const gid_t groups[] = { 2005, 2007 };
	const __u64 kept = 1ULL << CAP_CHOWN | 1ULL << CAP_KILL | 1ULL << CAP_SETUID;
	int bad = 0;
	bad |= prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE, 0, 0, 0);
	bad |= prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
	bad |= setgroups(2, groups) | setresgid(2001, 2002, 2003);
	bad |= setresuid(real, 1001, 1002);
	setfsuid(1002);
	bad |= set_caps(kept, 1ULL << CAP_CHOWN, 1ULL << CAP_KILL);
	bad |= prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0);
	bad |= prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	bad |= prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return bad;
}

static void show(int number)
{
	char line[512];
	FILE *status = fopen("/proc/self/status", "r");
	printf("%d", number);
	while (status && fgets(line, sizeof(line), status)) {
		static const char *const wanted[] = {
			"Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:",
		};
		for (unsigned i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
			if (!strncmp(line, wanted[i], strlen(wanted[i]))) {
				line[strcspn(line, "\n")] = 0;
				printf(" %s", line);
			}
	}
	if (status)
		fclose(status);
	printf(" dumpable %d securebits %#x\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
	       (unsigned)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	uid_t real = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	int shown = 0;
	sigset_t all, before;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigemptyset(&all);
	sigaddset(&all, SIGUSR1);
	sigaddset(&all, SIGUSR2);
	sigaddset(&all, SIGTERM);
	sigprocmask(SIG_BLOCK, &all, &before);
	show(0);
	while (!ended) {
		sigsuspend(&before);
		if (drop && give_up(real))
			puts("could not give up");
		drop = 0;
		while (shown < tell)
			show(++shown);
	}
	return 0;
}
