// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* What others see of a surrogate, and what the OOM killer makes of it. */
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/resource.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "kpi.h"

s64 kpi_args_get(u8 *out, u32 len)
{
	struct mm_struct *mm = current->mm;
	unsigned long start, end;

	spin_lock(&mm->arg_lock);
	start = mm->arg_start;
	end = mm->arg_end;
	spin_unlock(&mm->arg_lock);
	if (start >= end)
		return 0;
	return access_process_vm(current, start, out, min_t(unsigned long, end - start, len), 0);
}

/* In the stub's data page, whose begin is the stub's own. */
int kpi_args_set(const struct kpi_stub *stub, const u8 *args, u32 len)
{
	struct mm_struct *mm = current->mm;
	unsigned long start = stub->data + KPI_STUB_ARGS_AT;
	int rc;

	if (len > KPI_STUB_ARGS_LEN_MAX)
		return -E2BIG;
	rc = len ? kpi_poke(start, args, len) : 0;
	if (rc)
		return rc;
	spin_lock(&mm->arg_lock);
	mm->arg_start = start;
	mm->arg_end = start + len;
	mm->env_start = mm->arg_end;
	mm->env_end = mm->arg_end;
	spin_unlock(&mm->arg_lock);
	return 0;
}

static_assert(RLIM_NLIMITS <= sizeof_field(struct kpi_limits, soft) / sizeof(u64));

void kpi_limits_lift(struct kpi_limits *saved)
{
	static const u8 lifted[] = {
		RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_NPROC,
	};
	struct rlimit *limits = current->signal->rlim;
	u32 i;

	task_lock(current->group_leader);
	for (i = 0; i < RLIM_NLIMITS; i++) {
		saved->soft[i] = limits[i].rlim_cur;
		saved->hard[i] = limits[i].rlim_max;
	}
	for (i = 0; i < ARRAY_SIZE(lifted); i++)
		limits[lifted[i]] = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	task_unlock(current->group_leader);
}

/* A limit of processor time would need its timer armed too. */
void kpi_limits_set(const struct kpi_limits *in)
{
	struct rlimit *limits = current->signal->rlim;
	u32 i;

	task_lock(current->group_leader);
	for (i = 0; i < RLIM_NLIMITS; i++)
		if (i != RLIMIT_CPU)
			limits[i] = (struct rlimit){ in->soft[i], in->hard[i] };
	task_unlock(current->group_leader);
}

/* The bound below which a user can't set it again stays as it is. */
s32 kpi_oom_score_set(s32 score)
{
	return xchg(&current->signal->oom_score_adj, (short)score);
}
