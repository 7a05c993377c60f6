// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The processes of this machine whose pages may go out. */
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/pid_namespace.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "mm_shim.h"

/*
 * Not the kernel's own, and none that must not be killed for memory.  No init
 * either, of the machine or of a job: all of its processes would go with it.
 */
static bool may_be_asked(struct task_struct *task)
{
	struct pid *pid = task_tgid(task);

	return !(task->flags & (PF_KTHREAD | PF_EXITING)) && pid && !is_child_reaper(pid) &&
	       task->signal->oom_score_adj != OOM_SCORE_ADJ_MIN;
}

/* The address space is not looked into: it may be gone. */
u32 kpi_process_of(u64 mm)
{
	struct task_struct *process, *task;
	u32 found = 0;

	if ((unsigned long)current->mm == mm)
		return task_tgid_nr(current);
	rcu_read_lock();
	for_each_process_thread(process, task) {
		if (!(task->flags & PF_KTHREAD) && (unsigned long)READ_ONCE(task->mm) == mm) {
			found = task_tgid_nr(task);
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

long kpi_processes(struct kpi_process *out, u64 max)
{
	struct task_struct *task;
	u64 n = 0;

	rcu_read_lock();
	for_each_process(task) {
		struct mm_struct *mm;

		if (n == max)
			break;
		if (!may_be_asked(task))
			continue;
		task_lock(task);
		mm = task->mm;
		if (mm)
			mmgrab(mm);
		task_unlock(task);
		if (!mm)
			continue;
		out[n].mm = mm;
		out[n].pid = task_tgid_nr(task);
		out[n].pid_ns = task_active_pid_ns(task);
		n++;
	}
	rcu_read_unlock();
	return n;
}
