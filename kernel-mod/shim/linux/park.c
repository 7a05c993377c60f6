// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Calling us from a task's own context, at the edge to user mode. */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/task_work.h>

#include "kpi.h"

struct park {
	struct callback_head work;
	void *data;
};

static atomic64_t outstanding = ATOMIC64_INIT(0);

static void run(struct callback_head *work)
{
	struct park *park = container_of(work, struct park, work);
	void *data = park->data;

	/*
	 * While we wait, what is behind us in the list that was taken off would not run, and be
	 * lost if the task dies here: go to the end. Alone, we are not put off again.
	 */
	if (work->next && !task_work_add(current, work, TWA_SIGNAL))
		return;
	kfree(park);
	kpi_restart_note();
	if (data)
		kapi_parked(data);
	atomic64_dec(&outstanding);
	module_put(THIS_MODULE);
}

int kpi_park_request(struct task_struct *task, void *data)
{
	struct park *park;
	int rc;

	/* Without an edge to user mode, or with one that is not its own. */
	if (task->flags & (PF_KTHREAD | PF_USER_WORKER))
		return -EINVAL;
	if (!try_module_get(THIS_MODULE))
		return -ESHUTDOWN;
	park = kzalloc(sizeof(*park), GFP_KERNEL);
	if (!park) {
		module_put(THIS_MODULE);
		return -ENOMEM;
	}
	park->data = data;
	init_task_work(&park->work, run);
	atomic64_inc(&outstanding);
	rc = task_work_add(task, &park->work, TWA_SIGNAL);
	if (rc) {
		atomic64_dec(&outstanding);
		kfree(park);
		module_put(THIS_MODULE);
	}
	return rc;
}

u64 kpi_park_outstanding(void)
{
	return atomic64_read(&outstanding);
}

/* The last instructions of run() come after its module_put(): wait until nobody is in there. */
void kpi_park_quiesce(void)
{
	synchronize_rcu_tasks();
}
