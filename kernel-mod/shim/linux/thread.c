// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Kernel threads and work queues. */
#include <linux/capability.h>
#include <linux/kthread.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/workqueue.h>

#include "kpi.h"

int kpi_thread_run(const char *name, int (*fn)(void *), void *arg, struct kpi_thread **out)
{
	struct task_struct *t = kthread_create(fn, arg, "%s", name);

	if (IS_ERR(t))
		return PTR_ERR(t);
	*out = (struct kpi_thread *)get_task_struct(t);
	wake_up_process(t);
	return 0;
}

int kpi_thread_stop(struct kpi_thread *thread)
{
	return kthread_stop_put((struct task_struct *)thread);
}

void kpi_thread_wake(struct kpi_thread *thread)
{
	wake_up_process((struct task_struct *)thread);
}

void kpi_thread_urgent(struct kpi_thread *thread)
{
	sched_set_fifo_low((struct task_struct *)thread);
}

void kpi_thread_set_nice(struct kpi_thread *thread, s32 nice)
{
	set_user_nice((struct task_struct *)thread, nice);
}

bool kpi_thread_should_stop(void)
{
	return kthread_should_stop();
}

bool kpi_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

bool kpi_is_reclaiming(void)
{
	return current_is_kswapd() || (current->reclaim_state && !(current->flags & PF_KTHREAD));
}

bool kpi_signal_pending(void)
{
	return signal_pending(current);
}

u32 kpi_current_pid(void)
{
	return current->pid;
}

u32 kpi_current_process(void)
{
	return current->tgid;
}

bool kpi_capable(u32 cap)
{
	return capable(cap);
}

void kpi_cond_resched(void)
{
	cond_resched();
}

struct work {
	struct work_struct w;
	void *data;
};

static void run(struct work_struct *w)
{
	struct work *work = container_of(w, struct work, w);
	void *data = work->data;

	kfree(work);
	kapi_work_run(data);
}

struct kpi_workqueue *kpi_workqueue_new(const char *name, u32 active_max)
{
	return (struct kpi_workqueue *)alloc_workqueue("%s", WQ_UNBOUND | WQ_MEM_RECLAIM,
						       active_max, name);
}

void kpi_workqueue_free(struct kpi_workqueue *q)
{
	destroy_workqueue((struct workqueue_struct *)q);
}

void kpi_workqueue_flush(struct kpi_workqueue *q)
{
	flush_workqueue((struct workqueue_struct *)q);
}

int kpi_workqueue_push(struct kpi_workqueue *q, void *data)
{
	struct work *work = kmalloc(sizeof(*work), GFP_KERNEL);

	if (!work)
		return -ENOMEM;
	INIT_WORK(&work->w, run);
	work->data = data;
	queue_work((struct workqueue_struct *)q, &work->w);
	return 0;
}
