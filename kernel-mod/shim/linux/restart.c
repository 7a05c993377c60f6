// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The call that is to be restarted. */
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/ptrace.h>
#include <linux/sched/task_stack.h>
#include <linux/timekeeping.h>
#include <linux/unistd.h>

#include "kpi.h"

/*
 * They are static functions of the kernel, so their addresses are learnt: from tasks of this node
 * that are seen parked in a call which has one. See docs/decisions/0006.
 */
static struct {
	u32 kind;
	unsigned long fn; /* 0: not seen yet */
} restarts[] = {
	{ KPI_RESTART_NANOSLEEP },
	{ KPI_RESTART_POLL },
	{ KPI_RESTART_FUTEX },
};

static bool is_hrtimer_clock(unsigned long clock)
{
	switch ((int)clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return true;
	default:
		return false;
	}
}

/* Sleeps by a processor's or an alarm clock have restart functions of their own. */
static u32 call_kind(const struct pt_regs *regs)
{
	switch (regs->orig_ax) {
	case __NR_nanosleep:
		return KPI_RESTART_NANOSLEEP;
	case __NR_clock_nanosleep:
		return is_hrtimer_clock(regs->di) ? KPI_RESTART_NANOSLEEP : KPI_RESTART_OTHER;
	case __NR_poll:
		return KPI_RESTART_POLL;
	case __NR_futex:
		return KPI_RESTART_FUTEX;
	default:
		return KPI_RESTART_OTHER;
	}
}

static bool in_restart(void)
{
	return current_pt_regs()->ax == (unsigned long)-ERESTART_RESTARTBLOCK;
}

void kpi_restart_note(void)
{
	unsigned long fn = (unsigned long)current->restart_block.fn;
	u32 i, kind = call_kind(current_pt_regs());

	/* A tracer may have written registers that tell of another call. */
	if (!in_restart() || current->ptrace)
		return;
	/* Once: nothing that a program does later changes what the daemon saw at its start. */
	for (i = 0; i < ARRAY_SIZE(restarts); i++)
		if (restarts[i].kind == kind)
			cmpxchg(&restarts[i].fn, 0, fn);
}

u32 kpi_restart_known(void)
{
	u32 i, known = 0;

	for (i = 0; i < ARRAY_SIZE(restarts); i++)
		if (READ_ONCE(restarts[i].fn))
			known |= 1u << restarts[i].kind;
	return known;
}

static u32 restart_kind(unsigned long fn)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(restarts); i++)
		if (READ_ONCE(restarts[i].fn) == fn)
			return restarts[i].kind;
	return KPI_RESTART_OTHER;
}

static unsigned long restart_fn(u32 kind)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(restarts); i++)
		if (restarts[i].kind == kind)
			return READ_ONCE(restarts[i].fn);
	return 0;
}

void kpi_restart_get(struct kpi_restart *out)
{
	const struct restart_block *rb = &current->restart_block;

	memset(out, 0, sizeof(*out));
	if (!in_restart())
		return;
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
