// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Finding tasks and holding them. */
#include <linux/delay.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "kpi.h"

struct pid_namespace *kpi_ns_of_init(s32 nr)
{
	struct pid_namespace *ns = NULL;
	struct task_struct *task;

	rcu_read_lock();
	task = pid_task(find_vpid(nr), PIDTYPE_TGID);
	if (task)
		ns = task_active_pid_ns(task);
	if (ns && READ_ONCE(ns->child_reaper) == task && ns != &init_pid_ns)
		ns = get_pid_ns(ns);
	else
		ns = NULL;
	rcu_read_unlock();
	return ns;
}

void kpi_ns_put(struct pid_namespace *ns)
{
	put_pid_ns(ns);
}

struct pid_namespace *kpi_ns_current(void)
{
	return task_active_pid_ns(current);
}

struct task_struct *kpi_task_find(struct pid_namespace *ns, s32 nr)
{
	struct task_struct *task;

	rcu_read_lock();
	task = pid_task(find_pid_ns(nr, ns), PIDTYPE_TGID);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	return task;
}

struct task_struct *kpi_task_find_here(s32 nr)
{
	struct task_struct *task;

	rcu_read_lock();
	task = pid_task(find_vpid(nr), PIDTYPE_TGID);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	return task;
}

struct task_struct *kpi_task_current(void)
{
	return get_task_struct(current->group_leader);
}

bool kpi_task_is_current(struct task_struct *task)
{
	return same_thread_group(current, task);
}

bool kpi_task_is_this_thread(struct task_struct *task)
{
	return task == current;
}

void kpi_task_get(struct task_struct *task)
{
	get_task_struct(task);
}

void kpi_task_put(struct task_struct *task)
{
	put_task_struct(task);
}

s32 kpi_task_pid(struct task_struct *task, struct pid_namespace *ns)
{
	return ns ? task_tgid_nr_ns(task, ns) : task_tgid_vnr(task);
}

struct mm_struct *kpi_task_mm(struct task_struct *task)
{
	return get_task_mm(task);
}

void kpi_task_comm(struct task_struct *task, u8 *out16)
{
	task_lock(task);
	memcpy(out16, task->comm, TASK_COMM_LEN);
	task_unlock(task);
	out16[TASK_COMM_LEN - 1] = 0;
}

void kpi_comm_set(const u8 *name16)
{
	task_lock(current);
	memcpy(current->comm, name16, TASK_COMM_LEN);
	current->comm[TASK_COMM_LEN - 1] = 0;
	task_unlock(current);
}

bool kpi_task_dead(struct task_struct *task)
{
	return READ_ONCE(task->exit_state) || (READ_ONCE(task->flags) & PF_EXITING);
}

bool kpi_current_exiting(void)
{
	return current->flags & PF_EXITING;
}

/* Anything that it did meanwhile shows in its switches. */
bool kpi_task_stuck(struct task_struct *task, u32 watch_us)
{
	unsigned long switches = READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
	u32 waited_us = 0;

	while ((READ_ONCE(task->__state) & TASK_UNINTERRUPTIBLE) &&
	       READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw) == switches) {
		if (waited_us >= watch_us)
			return true;
		usleep_range(1000, 2000);
		waited_us += 1000;
	}
	return false;
}

/* wait_task_inactive() is not exported. The task is on its way to schedule(): this is short. */
int kpi_task_settled(struct task_struct *task, u32 timeout_us)
{
	u32 waited_us = 0;

	while (READ_ONCE(task->on_cpu) || READ_ONCE(task->__state) == TASK_RUNNING) {
		if (waited_us >= timeout_us)
			return -EBUSY;
		usleep_range(20, 50);
		waited_us += 20;
	}
	smp_rmb();
	/* One that ended has no stack, where its registers would be. */
	return kpi_task_dead(task) || READ_ONCE(task->__state) == TASK_DEAD ? -ESRCH : 0;
}
