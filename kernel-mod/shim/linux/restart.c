// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The call that is to be restarted. */
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include "kpi.h"

/* They are static functions: their addresses are learnt from probes that are never armed. */
static struct {
	const char *name;
	u32 kind;
	unsigned long fn;
} restarts[] = {
	{ "hrtimer_nanosleep_restart", KPI_RESTART_NANOSLEEP },
	{ "do_restart_poll", KPI_RESTART_POLL },
	{ "futex_wait_restart", KPI_RESTART_FUTEX },
	{ "do_no_restart_syscall", KPI_RESTART_NONE },
};

/* A probe lies behind the landing pad that an indirect call needs: go back to the entry. */
static unsigned long entry_of(unsigned long addr, const char *name)
{
	char text[KSYM_SYMBOL_LEN];
	size_t n = strlen(name);
	u32 back;

	for (back = 0; back <= 16; back += 4) {
		sprint_symbol(text, addr - back);
		if (!strncmp(text, name, n) && !strncmp(text + n, "+0x0/", 5))
			return addr - back;
	}
	return 0;
}

void kpi_restart_init(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(restarts); i++) {
		struct kprobe probe = {
			.symbol_name = restarts[i].name,
			.flags = KPROBE_FLAG_DISABLED,
		};

		if (register_kprobe(&probe))
			continue;
		restarts[i].fn = entry_of((unsigned long)probe.addr, restarts[i].name);
		unregister_kprobe(&probe);
	}
}

static u32 restart_kind(unsigned long fn)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(restarts); i++)
		if (restarts[i].fn && restarts[i].fn == fn)
			return restarts[i].kind;
	return KPI_RESTART_OTHER;
}

static unsigned long restart_fn(u32 kind)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(restarts); i++)
		if (restarts[i].kind == kind)
			return restarts[i].fn;
	return 0;
}

void kpi_restart_get(struct kpi_restart *out)
{
	const struct restart_block *rb = &current->restart_block;

	memset(out, 0, sizeof(*out));
	out->kind = restart_kind((unsigned long)rb->fn);
	if (out->kind == KPI_RESTART_NANOSLEEP) {
		out->clock = rb->nanosleep.clockid;
		out->rmtp_kind = rb->nanosleep.type;
		out->rmtp = (u64)rb->nanosleep.rmtp;
		out->expires_ns = rb->nanosleep.expires;
	} else if (out->kind == KPI_RESTART_POLL) {
		out->ufds = (u64)rb->poll.ufds;
		out->nfds = rb->poll.nfds;
		out->has_timeout = rb->poll.has_timeout;
		out->expires_ns = timespec64_to_ns(&rb->poll.end_time);
	} else if (out->kind == KPI_RESTART_FUTEX) {
		out->uaddr = (u64)rb->futex.uaddr;
		out->uaddr2 = (u64)rb->futex.uaddr2;
		out->val = rb->futex.val;
		out->flags = rb->futex.flags;
		out->bitset = rb->futex.bitset;
		out->expires_ns = rb->futex.time;
	}
}

static void restart_fill(struct restart_block *rb, const struct kpi_restart *in)
{
	if (in->kind == KPI_RESTART_NANOSLEEP) {
		rb->nanosleep.clockid = in->clock;
		rb->nanosleep.type = in->rmtp_kind == TT_NATIVE ? TT_NATIVE : TT_NONE;
		rb->nanosleep.rmtp = (struct __kernel_timespec __user *)in->rmtp;
		rb->nanosleep.expires = in->expires_ns;
	} else if (in->kind == KPI_RESTART_POLL) {
		rb->poll.ufds = (struct pollfd __user *)in->ufds;
		rb->poll.nfds = in->nfds;
		rb->poll.has_timeout = !!in->has_timeout;
		rb->poll.end_time = ns_to_timespec64(in->expires_ns);
	} else {
		rb->futex.uaddr = (u32 __user *)in->uaddr;
		rb->futex.uaddr2 = (u32 __user *)in->uaddr2;
		rb->futex.val = in->val;
		rb->futex.flags = in->flags;
		rb->futex.bitset = in->bitset;
		rb->futex.time = in->expires_ns;
	}
}

int kpi_restart_set(const struct kpi_restart *in)
{
	unsigned long fn;

	if (in->kind == KPI_RESTART_NONE)
		return 0;
	fn = restart_fn(in->kind);
	if (!fn)
		return -ENOENT;
	restart_fill(&current->restart_block, in);
	current->restart_block.fn = (long (*)(struct restart_block *))fn;
	return 0;
}

u64 kpi_clock_of(s32 clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
		return ktime_get_real_ns();
	case CLOCK_MONOTONIC:
		return ktime_get_ns();
	case CLOCK_BOOTTIME:
		return ktime_get_boottime_ns();
	case CLOCK_TAI:
		return ktime_get_clocktai_ns();
	default:
		return 0;
	}
}
