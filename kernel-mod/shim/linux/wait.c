// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Wait queues. */
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "kpi.h"

struct kpi_waitq {
	wait_queue_head_t q;
};

struct kpi_waitq *kpi_waitq_new(void)
{
	struct kpi_waitq *k = kzalloc(sizeof(*k), GFP_KERNEL);

	if (k)
		init_waitqueue_head(&k->q);
	return k;
}

void kpi_waitq_free(struct kpi_waitq *k)
{
	kfree(k);
}

void kpi_waitq_wake_all(struct kpi_waitq *k)
{
	wake_up_all(&k->q);
}

void kpi_waitq_wake_one(struct kpi_waitq *k)
{
	wake_up(&k->q);
}

/* Below this a tick is too coarse: packets are spaced by such waits. */
#define SHORT_NS (100 * NSEC_PER_MSEC)

static int wait_short(struct kpi_waitq *k, u64 timeout_ns, bool (*cond)(void *), void *arg)
{
	return __wait_event_hrtimeout(k->q, cond(arg), ns_to_ktime(timeout_ns), TASK_IDLE);
}

static long ticks(u64 timeout_ns)
{
	if (timeout_ns == ~0ULL)
		return MAX_SCHEDULE_TIMEOUT;
	/* One more: the present tick is partly over already. */
	return min_t(u64, nsecs_to_jiffies64(timeout_ns) + 1, MAX_JIFFY_OFFSET);
}

int kpi_waitq_wait(struct kpi_waitq *k, u32 mode, u64 timeout_ns, bool (*cond)(void *), void *arg)
{
	long left = ticks(timeout_ns);

	if (mode == KPI_WAIT_IDLE && timeout_ns < SHORT_NS)
		return cond(arg) || !wait_short(k, timeout_ns, cond, arg);
	if (mode == KPI_WAIT_KILLABLE)
		left = wait_event_killable_timeout(k->q, cond(arg), left);
	else if (mode == KPI_WAIT_INTERRUPTIBLE)
		left = wait_event_interruptible_timeout(k->q, cond(arg), left);
	else
		left = wait_event_idle_timeout(k->q, cond(arg), left);
	return left < 0 ? left : left > 0;
}
