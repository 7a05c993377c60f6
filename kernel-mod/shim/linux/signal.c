// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Signal state of the calling thread, and sending to others. */
#include <linux/rseq.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/signal.h>
#include <linux/uaccess.h>

#include "kpi.h"

static_assert(sizeof(kernel_siginfo_t) <= sizeof_field(struct kpi_siginfo, bytes));

void kpi_actions_get(struct kpi_action *out)
{
	int i;

	spin_lock_irq(&current->sighand->siglock);
	for (i = 0; i < _NSIG; i++) {
		const struct sigaction *sa = &current->sighand->action[i].sa;

		out[i].handler = (u64)sa->sa_handler;
		out[i].flags = sa->sa_flags;
		out[i].restorer = (u64)sa->sa_restorer;
		out[i].mask = sa->sa_mask.sig[0];
	}
	spin_unlock_irq(&current->sighand->siglock);
}

void kpi_actions_set(const struct kpi_action *in)
{
	int i;

	spin_lock_irq(&current->sighand->siglock);
	for (i = 0; i < _NSIG; i++) {
		struct sigaction *sa = &current->sighand->action[i].sa;

		if (sig_kernel_only(i + 1))
			continue;
		sa->sa_handler = (__sighandler_t)in[i].handler;
		sa->sa_flags = in[i].flags & UAPI_SA_FLAGS;
		sa->sa_restorer = (__sigrestore_t)in[i].restorer;
		sa->sa_mask.sig[0] = in[i].mask;
		sigdelsetmask(&sa->sa_mask, sigmask(SIGKILL) | sigmask(SIGSTOP));
	}
	spin_unlock_irq(&current->sighand->siglock);
}

void kpi_thread_state_get(struct kpi_thread_state *out)
{
	memset(out, 0, sizeof(*out));
	out->blocked = current->blocked.sig[0];
	out->has_saved_mask = test_restore_sigmask();
	out->saved_mask = current->saved_sigmask.sig[0];
	out->altstack_sp = current->sas_ss_sp;
	out->altstack_size = current->sas_ss_size;
	out->altstack_flags = current->sas_ss_flags;
	out->robust_list = (u64)current->futex.robust_list;
	out->clear_child_tid = (u64)current->clear_child_tid;
	out->rseq = (u64)current->rseq.usrptr;
	out->rseq_len = current->rseq.len;
	out->rseq_sig = current->rseq.sig;
	out->rseq_cpu = current->rseq.ids.cpu_id;
	out->rseq_mm_cid = current->rseq.ids.mm_cid;
	out->rseq_node = current->rseq.ids.node_id;
}

/*
 * What the rseq call does, without its stores into the area: that page is still elsewhere. The
 * kernel fills the area in on the way to user mode, and ends a critical section that was left.
 */
static void rseq_adopt(const struct kpi_thread_state *in)
{
	if (!in->rseq || !access_ok((void __user *)in->rseq, in->rseq_len))
		return;
	rseq_reset(current);
	current->rseq.usrptr = (struct rseq __user *)in->rseq;
	current->rseq.len = in->rseq_len;
	current->rseq.sig = in->rseq_sig;
	/* The kernel compares the area with what it thinks it wrote, and kills on a difference. */
	current->rseq.ids.cpu_id = in->rseq_cpu;
	current->rseq.ids.mm_cid = in->rseq_mm_cid;
	current->rseq.ids.node_id = in->rseq_node;
	current->rseq.event.has_rseq = in->rseq_len > 32 ? 2 : 1;
	current->rseq.event.user_irq = true;
	rseq_force_update();
}

void kpi_thread_state_set(const struct kpi_thread_state *in)
{
	sigset_t mask = { .sig = { in->blocked } };

	current->sas_ss_sp = in->altstack_sp;
	current->sas_ss_size = in->altstack_size;
	current->sas_ss_flags = in->altstack_flags & (SS_AUTODISARM | SS_DISABLE | SS_ONSTACK);
	current->futex.robust_list = (struct robust_list_head __user *)in->robust_list;
	current->clear_child_tid = (int __user *)in->clear_child_tid;
	rseq_adopt(in);
	sigdelsetmask(&mask, sigmask(SIGKILL) | sigmask(SIGSTOP));
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (in->has_saved_mask) {
		current->saved_sigmask.sig[0] =
			in->saved_mask & ~(sigmask(SIGKILL) | sigmask(SIGSTOP));
		set_restore_sigmask();
	}
}

void kpi_thread_state_clear(void)
{
	current->futex.robust_list = NULL;
	current->clear_child_tid = NULL;
	current->sas_ss_sp = 0;
	current->sas_ss_size = 0;
	clear_restore_sigmask();
	rseq_reset(current);
}

static s64 collect(struct sigpending *from, u32 shared, struct kpi_siginfo *out, s64 n, u32 max)
{
	u64 told = 0, all = from->signal.sig[0] & ~sigmask(SIGKILL);
	struct sigqueue *q;
	int signo;

	list_for_each_entry(q, &from->list, list) {
		if (n >= max)
			return -E2BIG;
		if (q->info.si_code == SI_TIMER)
			return -EOPNOTSUPP;
		memcpy(out[n].bytes, &q->info, sizeof(q->info));
		out[n].signo = q->info.si_signo;
		out[n++].shared = shared;
		told |= sigmask(q->info.si_signo);
	}
	/* Sent while memory was short: a bit without a queue entry. */
	for (signo = 1; signo <= _NSIG; signo++) {
		kernel_siginfo_t info = { .si_signo = signo, .si_code = SI_USER };

		if (!((all & ~told) & sigmask(signo)))
			continue;
		if (n >= max)
			return -E2BIG;
		memcpy(out[n].bytes, &info, sizeof(info));
		out[n].signo = signo;
		out[n++].shared = shared;
	}
	return n;
}

s64 kpi_pending_get(struct kpi_siginfo *out, u32 count_max)
{
	s64 n;

	memset(out, 0, count_max * sizeof(*out));
	spin_lock_irq(&current->sighand->siglock);
	n = collect(&current->pending, 0, out, 0, count_max);
	if (n >= 0)
		n = collect(&current->signal->shared_pending, 1, out, n, count_max);
	spin_unlock_irq(&current->sighand->siglock);
	return n;
}

static s64 first_of(struct sigpending *from, u32 shared, struct kpi_siginfo *out, s64 n, u32 max)
{
	struct sigqueue *q;

	list_for_each_entry(q, &from->list, list) {
		if (n >= max)
			break;
		memcpy(out[n].bytes, &q->info, sizeof(q->info));
		out[n].signo = q->info.si_signo;
		out[n++].shared = shared;
	}
	return n;
}

s64 kpi_pending_some(struct kpi_siginfo *out, u32 count_max)
{
	s64 n;

	memset(out, 0, count_max * sizeof(*out));
	spin_lock_irq(&current->sighand->siglock);
	n = first_of(&current->pending, 0, out, 0, count_max);
	n = first_of(&current->signal->shared_pending, 1, out, n, count_max);
	/* None with an entry: bits without one, if any. */
	if (!n) {
		n = collect(&current->pending, 0, out, 0, count_max);
		n = collect(&current->signal->shared_pending, 1, out, max(n, 0), count_max);
	}
	spin_unlock_irq(&current->sighand->siglock);
	return n;
}

void kpi_pending_drop(const struct kpi_siginfo *in, u32 count)
{
	kernel_siginfo_t info;
	enum pid_type type;
	u32 i;

	spin_lock_irq(&current->sighand->siglock);
	for (i = 0; i < count; i++) {
		sigset_t others = { .sig = { ~sigmask(in[i].signo) } };

		dequeue_signal(&others, &info, &type);
	}
	spin_unlock_irq(&current->sighand->siglock);
}

int kpi_signal_send(struct task_struct *task, const struct kpi_siginfo *in)
{
	kernel_siginfo_t info = {};

	if (!valid_signal(in->signo) || !in->signo)
		return -EINVAL;
	if (in->signo == SIGKILL)
		return send_sig(SIGKILL, task, 1);
	if (in->shared && get_nr_threads(task) > 1) {
		int rc;

		rcu_read_lock();
		rc = kill_pid(task_tgid(task), in->signo, 0);
		rcu_read_unlock();
		return rc;
	}
	memcpy(&info, in->bytes, sizeof(info));
	info.si_signo = in->signo;
	return send_sig_info(in->signo, &info, task);
}

void kpi_kill(struct task_struct *task)
{
	send_sig(SIGKILL, task, 1);
}
