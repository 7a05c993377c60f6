// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// signals: counts SIGUSR1 and prints the count at each, ends with status 7 on SIGTERM. For tests
// that signal a process through its surrogate.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t count, ended;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		count++;
	else
		ended = 1;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int shown = 0;
	sigset_t both, before;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGTERM);
	sigprocmask(SIG_BLOCK, &both, &before);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (!ended) {
		sigsuspend(&before);
		while (shown < count) {
			printf("usr1 %d\n", ++shown);
			fflush(stdout);
		}
	}
	return 7;
}
