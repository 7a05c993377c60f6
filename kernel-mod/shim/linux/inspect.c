// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Looking at a task from outside, without disturbing it. */
#include <linux/cred.h>
#include <linux/fdtable.h>
#include <linux/fs_struct.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/sched/cputime.h>
#include <linux/sched/exec_state.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/user_namespace.h>

#include "kpi.h"

#define CHILDREN_SEEN_MAX 1000

/* RCU is enough for a look: the count is taken again in the freeze. */
static void facts_children(struct task_struct *leader, struct kpi_facts *f)
{
	struct task_struct *t, *child;

	for_each_thread(leader, t)
		list_for_each_entry_rcu(child, &t->children, sibling) {
			if (++f->children > CHILDREN_SEEN_MAX)
				return;
			f->vforking |= !!READ_ONCE(child->vfork_done) && child->mm == leader->mm;
		}
}

static void facts_creds(struct task_struct *task, struct kpi_facts *f)
{
	const struct cred *c = __task_cred(task);

	f->uid = from_kuid(&init_user_ns, c->uid);
	f->euid = from_kuid(&init_user_ns, c->euid);
	f->suid = from_kuid(&init_user_ns, c->suid);
	f->fsuid = from_kuid(&init_user_ns, c->fsuid);
	f->gid = from_kgid(&init_user_ns, c->gid);
	f->egid = from_kgid(&init_user_ns, c->egid);
	f->sgid = from_kgid(&init_user_ns, c->sgid);
	f->fsgid = from_kgid(&init_user_ns, c->fsgid);
	f->groups_count = c->group_info->ngroups;
	f->securebits = c->securebits;
	f->user_ns_other = c->user_ns != &init_user_ns;
	f->cap_inheritable = c->cap_inheritable.val;
	f->cap_permitted = c->cap_permitted.val;
	f->cap_effective = c->cap_effective.val;
	f->cap_bset = c->cap_bset.val;
	f->cap_ambient = c->cap_ambient.val;
}

static void facts_signal(struct task_struct *task, struct kpi_facts *f)
{
	struct signal_struct *sig = task->signal;
	int i;

	f->threads = get_nr_threads(task);
	f->posix_timers = !hlist_empty(&sig->posix_timers);
	f->itimers = hrtimer_active(&sig->real_timer) || sig->it[0].expires || sig->it[1].expires;
	f->stopped = task_is_stopped_or_traced(task) || (sig->flags & SIGNAL_STOP_STOPPED);
	f->leader_of_session = sig->leader;
	f->has_tty = !!sig->tty;
	f->oom_score_adj = sig->oom_score_adj;
	for (i = 0; i < RLIM_NLIMITS && i < 16; i++) {
		f->rlim_cur[i] = sig->rlim[i].rlim_cur;
		f->rlim_max[i] = sig->rlim[i].rlim_max;
	}
}

static void facts_task(struct task_struct *task, struct kpi_facts *f)
{
	f->traced = !!task->ptrace;
	f->exiting = !!(task->flags & PF_EXITING) || task->exit_state;
	f->kernel = !!(task->flags & (PF_KTHREAD | PF_USER_WORKER));
	f->seccomp = task->seccomp.mode != 0;
	f->io_uring = !!task->io_uring;
	f->compat = test_tsk_thread_flag(task, TIF_ADDR32);
	f->sysv_undo = !!task->sysvsem.undo_list;
	f->real_time = task->policy != SCHED_NORMAL && task->policy != SCHED_BATCH &&
		       task->policy != SCHED_IDLE;
	f->nice = task_nice(task);
	f->personality = task->personality;
	f->no_new_privs = task_no_new_privs(task);
	f->pdeath_signal = task->pdeath_signal;
	f->timer_slack_ns = task->timer_slack_ns;
	f->dumpable = READ_ONCE(rcu_dereference(task->exec_state)->dumpable);
	f->vforking |= !!READ_ONCE(task->vfork_done);
	f->pgid = task_pgrp_nr_ns(task, task_active_pid_ns(task));
	f->sid = task_session_nr_ns(task, task_active_pid_ns(task));
}

static bool mm_is_shared(struct task_struct *task)
{
	struct mm_struct *mm = READ_ONCE(task->mm);
	struct task_struct *p;

	for_each_process(p)
		if (p != task && !(p->flags & PF_KTHREAD) && mm && READ_ONCE(p->mm) == mm)
			return true;
	return false;
}

static void facts_shared(struct task_struct *task, struct task_struct *init, struct kpi_facts *f)
{
	task_lock(task);
	/* Threads share both as a rule. */
	if (task->fs) {
		f->umask = task->fs->umask;
		f->fs_shared = READ_ONCE(task->fs->users) > f->threads;
	}
	if (task->files)
		f->files_shared = atomic_read(&task->files->count) > f->threads;
	/* The job's init and its processes have one set of namespaces, shared or copied. */
	if (task->nsproxy && init->nsproxy && task->nsproxy != init->nsproxy)
		f->other_namespaces = task->nsproxy->mnt_ns != init->nsproxy->mnt_ns ||
				      task->nsproxy->uts_ns != init->nsproxy->uts_ns ||
				      task->nsproxy->ipc_ns != init->nsproxy->ipc_ns ||
				      task->nsproxy->net_ns != init->nsproxy->net_ns ||
				      task->nsproxy->time_ns != init->nsproxy->time_ns;
	if (task_active_pid_ns(task) != task_active_pid_ns(init))
		f->other_namespaces = 1;
	if (task->mm) {
		f->locked_vm = task->mm->locked_vm;
		f->map_count = task->mm->map_count;
	}
	memcpy(f->comm, task->comm, TASK_COMM_LEN);
	task_unlock(task);
}

int kpi_facts(struct task_struct *task, struct task_struct *init, struct kpi_facts *out)
{
	u64 utime, stime;

	memset(out, 0, sizeof(*out));
	rcu_read_lock();
	if (!pid_alive(task)) {
		rcu_read_unlock();
		return -ESRCH;
	}
	facts_children(task, out);
	facts_creds(task, out);
	facts_signal(task, out);
	facts_task(task, out);
	out->mm_shared = mm_is_shared(task);
	rcu_read_unlock();
	facts_shared(task, init, out);
	task_cputime_adjusted(task, &utime, &stime);
	out->utime_ns = utime + task->signal->utime;
	out->stime_ns = stime + task->signal->stime;
	return 0;
}

s64 kpi_groups(struct task_struct *task, u32 *out, u32 count_max)
{
	const struct group_info *g;
	s64 n;

	rcu_read_lock();
	g = __task_cred(task)->group_info;
	if (g->ngroups > count_max) {
		rcu_read_unlock();
		return -E2BIG;
	}
	for (n = 0; n < g->ngroups; n++)
		out[n] = from_kgid(&init_user_ns, g->gid[n]);
	rcu_read_unlock();
	return n;
}

s64 kpi_task_dir(struct task_struct *task, u32 which, u8 *out, size_t len)
{
	struct path path = {};
	char *p;
	s64 n;

	task_lock(task);
	if (task->fs && which)
		get_fs_root(task->fs, &path);
	else if (task->fs)
		get_fs_pwd(task->fs, &path);
	task_unlock(task);
	if (!path.mnt)
		return -ESRCH;
	p = d_path(&path, out, len);
	path_put(&path);
	if (IS_ERR(p))
		return PTR_ERR(p);
	n = strlen(p);
	memmove(out, p, n + 1);
	return n;
}
