// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* A task that stands for a body elsewhere: two pages, a loop in an ioctl, and its signals. */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/uaccess.h>

#include "kpi.h"

/*
 * The stub. ebx: control fd, r12: its second page, which begins with { u64 fd, argv, envp } when
 * the ioctl returns 1: exec that fd. Uses no stack; the kernel may end it at any point.
 */
extern const u8 holon_stub_start[], holon_stub_end[];
asm(".pushsection .rodata\n"
    "holon_stub_start:\n"
    "1:	mov	$16, %eax\n" /* ioctl */
    "	mov	%ebx, %edi\n"
    "	mov	$0x4880, %esi\n" /* KPI_CTL_WAIT */
    "	mov	%r12, %rdx\n"
    "	syscall\n"
    "	cmp	$1, %eax\n" /* KPI_STUB_EXEC */
    "	jne	1b\n"
    "	mov	$322, %eax\n" /* execveat(fd, "", argv, envp, AT_EMPTY_PATH) */
    "	mov	(%r12), %rdi\n"
    "	lea	24(%r12), %rsi\n"
    "	mov	8(%r12), %rdx\n"
    "	mov	16(%r12), %r10\n"
    "	mov	$0x1000, %r8d\n"
    "	syscall\n"
    "	jmp	1b\n"
    "holon_stub_end:\n"
    ".popsection\n");

#define HANDLER_NOWHERE ((__sighandler_t)0x1000)

int kpi_stub_map(struct kpi_stub *out)
{
	unsigned long code = vm_mmap(NULL, 0, 2 * PAGE_SIZE, PROT_READ | PROT_EXEC,
				     MAP_PRIVATE | MAP_ANONYMOUS, 0);
	int rc;

	if (IS_ERR_VALUE(code))
		return code;
	out->code = code;
	out->data = code + PAGE_SIZE;
	/* The first page through its protection; the second gets another one. */
	rc = kpi_poke(code, holon_stub_start, holon_stub_end - holon_stub_start);
	if (!rc)
		rc = kpi_unmap(out->data, PAGE_SIZE);
	if (!rc)
		rc = kpi_map(out->data, PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	if (rc)
		vm_munmap(code, 2 * PAGE_SIZE);
	return rc;
}

void kpi_stub_enter(const struct kpi_stub *stub, u32 fd)
{
	struct pt_regs *regs = task_pt_regs(current);

	start_thread(regs, stub->code, 0);
	regs->bx = fd;
	regs->r12 = stub->data;
	regs->orig_ax = -1;
}

static bool next_vma(struct mm_struct *mm, unsigned long from, const struct kpi_stub *stub,
		     unsigned long *start, unsigned long *end)
{
	struct vm_area_struct *vma;
	bool found = false;
	VMA_ITERATOR(vmi, mm, from);

	mmap_read_lock(mm);
	for_each_vma(vmi, vma) {
		*start = vma->vm_start;
		*end = vma->vm_end;
		/* The stub's pages may have been merged with a neighbour. */
		if (*start < stub->code + 2 * PAGE_SIZE && *end > stub->code) {
			if (*start < stub->code)
				*end = stub->code;
			else if (*end > stub->code + 2 * PAGE_SIZE)
				*start = stub->code + 2 * PAGE_SIZE;
			else
				continue;
		}
		found = true;
		break;
	}
	mmap_read_unlock(mm);
	return found;
}

int kpi_unmap_all_but(const struct kpi_stub *stub)
{
	static const struct kpi_stub none;
	unsigned long start, end, from = 0;
	int failed = 0;

	if (!stub)
		stub = &none;
	while (next_vma(current->mm, from, stub, &start, &end)) {
		int rc = vm_munmap(start, end - start);

		if (rc)
			failed = rc;
		from = end;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return failed;
}

static bool next_special(unsigned long *start, unsigned long *end)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	bool found = false;
	VMA_ITERATOR(vmi, mm, 0);

	mmap_read_lock(mm);
	for_each_vma(vmi, vma)
		if (!vma->vm_file && vma->vm_ops) {
			*start = vma->vm_start;
			*end = vma->vm_end;
			found = true;
			break;
		}
	mmap_read_unlock(mm);
	return found;
}

int kpi_unmap_special(void)
{
	unsigned long start, end;
	int rc = 0;

	while (!rc && next_special(&start, &end))
		rc = vm_munmap(start, end - start);
	return rc;
}

void kpi_surrogate_signals(void)
{
	int i;

	spin_lock_irq(&current->sighand->siglock);
	for (i = 0; i < _NSIG; i++) {
		struct sigaction *sa = &current->sighand->action[i].sa;

		if (sig_kernel_only(i + 1))
			continue;
		sa->sa_handler = HANDLER_NOWHERE;
		sa->sa_flags = 0;
		sigemptyset(&sa->sa_mask);
	}
	spin_unlock_irq(&current->sighand->siglock);
	kpi_surrogate_mask(false);
}

void kpi_surrogate_mask(bool open)
{
	sigset_t set;

	if (open)
		sigemptyset(&set);
	else
		siginitsetinv(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	sigprocmask(SIG_SETMASK, &set, NULL);
}

bool kpi_signals_waiting(void)
{
	return signal_pending(current);
}

int kpi_surrogate_signal(struct kpi_siginfo *out)
{
	sigset_t except = { .sig = { sigmask(SIGKILL) | sigmask(SIGSTOP) } };
	kernel_siginfo_t info;
	enum pid_type type = PIDTYPE_TGID;
	bool stop;
	int signo;

	memset(out, 0, sizeof(*out));
	if (fatal_signal_pending(current))
		return 3;
	spin_lock_irq(&current->sighand->siglock);
	signo = dequeue_signal(&except, &info, &type);
	stop = sigismember(&current->pending.signal, SIGSTOP) ||
	       sigismember(&current->signal->shared_pending.signal, SIGSTOP);
	spin_unlock_irq(&current->sighand->siglock);
	if (signo) {
		memcpy(out->bytes, &info, sizeof(info));
		out->signo = signo;
		out->shared = type == PIDTYPE_TGID;
		return 1;
	}
	out->signo = SIGSTOP;
	out->shared = 1;
	return stop ? 2 : 0;
}

void kpi_stop_self(void)
{
	send_sig(SIGSTOP, current, 1);
}

/*
 * A fatal signal sets the group's end going; its code is then ours. Exact for every status, and
 * no core file. do_exit() is not exported everywhere.
 */
void kpi_exit_self(s32 status, u64 utime_ns, u64 stime_ns)
{
	struct signal_struct *sig = current->signal;

	write_seqlock_irq(&sig->stats_lock);
	sig->utime += utime_ns;
	sig->stime += stime_ns;
	sig->sum_sched_runtime += utime_ns + stime_ns;
	write_sequnlock_irq(&sig->stats_lock);
	send_sig(SIGKILL, current, 1);
	spin_lock_irq(&current->sighand->siglock);
	sig->group_exit_code = status;
	spin_unlock_irq(&current->sighand->siglock);
}
