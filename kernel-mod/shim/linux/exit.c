// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Learning of the end of watched processes. */
#include <linux/hashtable.h>
#include <linux/pid.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <linux/wait.h>

#include "kpi.h"

struct kpi_exit_watch {
	struct hlist_node node;
	struct list_head ended;
	struct pid *tgid;
	struct kpi_exit report;
};

static DEFINE_HASHTABLE(watches, 8);
static LIST_HEAD(ended);
static DEFINE_SPINLOCK(lock);
static atomic_t count = ATOMIC_INIT(0);
static wait_queue_head_t *wake;
static struct tracepoint *exit_point;

static struct kpi_exit_watch *find(struct pid *tgid)
{
	struct kpi_exit_watch *w;

	hash_for_each_possible(watches, w, node, (unsigned long)tgid)
		if (w->tgid == tgid)
			return w;
	return NULL;
}

static void fill(struct kpi_exit *r, struct task_struct *p)
{
	struct signal_struct *sig = p->signal;

	r->utime_ns = p->utime + sig->utime;
	r->stime_ns = p->stime + sig->stime;
	r->status = (sig->flags & SIGNAL_GROUP_EXIT) ? sig->group_exit_code : p->exit_code;
}

/* In every task's exit: one load when nothing is watched. */
static void on_exit(void *data, struct task_struct *p, bool group_dead)
{
	struct kpi_exit_watch *w;
	unsigned long flags;

	if (!group_dead || !atomic_read(&count))
		return;
	spin_lock_irqsave(&lock, flags);
	w = find(task_tgid(p));
	if (w && list_empty(&w->ended)) {
		fill(&w->report, p);
		list_add_tail(&w->ended, &ended);
	} else {
		w = NULL;
	}
	spin_unlock_irqrestore(&lock, flags);
	if (w)
		wake_up_all(wake);
}

static void match(struct tracepoint *tp, void *out)
{
	if (!strcmp(tp->name, "sched_process_exit"))
		*(struct tracepoint **)out = tp;
}

int kpi_exit_init(struct kpi_waitq *q)
{
	wake = (wait_queue_head_t *)q;
	for_each_kernel_tracepoint(match, &exit_point);
	return exit_point ? tracepoint_probe_register(exit_point, on_exit, NULL) : -ENOENT;
}

void kpi_exit_fini(void)
{
	if (!exit_point)
		return;
	tracepoint_probe_unregister(exit_point, on_exit, NULL);
	tracepoint_synchronize_unregister();
	exit_point = NULL;
}

struct kpi_exit_watch *kpi_exit_watch_add(struct task_struct *task, u64 id)
{
	struct kpi_exit_watch *w = kzalloc(sizeof(*w), GFP_KERNEL);
	unsigned long flags;
	bool gone;

	if (!w)
		return NULL;
	INIT_LIST_HEAD(&w->ended);
	w->report.id = id;
	w->tgid = get_pid(task_tgid(task));
	atomic_inc(&count);
	spin_lock_irqsave(&lock, flags);
	hash_add(watches, &w->node, (unsigned long)w->tgid);
	spin_unlock_irqrestore(&lock, flags);
	smp_mb();
	rcu_read_lock();
	gone = !pid_task(w->tgid, PIDTYPE_TGID) || (READ_ONCE(task->flags) & PF_EXITING);
	rcu_read_unlock();
	if (gone) {
		kpi_exit_watch_del(w);
		return NULL;
	}
	return w;
}

void kpi_exit_watch_del(struct kpi_exit_watch *w)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	hash_del(&w->node);
	list_del_init(&w->ended);
	spin_unlock_irqrestore(&lock, flags);
	atomic_dec(&count);
	put_pid(w->tgid);
	kfree(w);
}

bool kpi_exit_any(void)
{
	return !list_empty_careful(&ended);
}

bool kpi_exit_next(struct kpi_exit *out)
{
	struct kpi_exit_watch *w;
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	w = list_first_entry_or_null(&ended, struct kpi_exit_watch, ended);
	if (w) {
		*out = w->report;
		/* Out of the hash too: one report per watch, which lives until deleted. */
		list_del_init(&w->ended);
		hash_del(&w->node);
	}
	spin_unlock_irqrestore(&lock, flags);
	return w;
}
