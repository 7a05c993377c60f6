// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Registers and extended state. */
#include <linux/elf.h>
#include <linux/mm.h>
#include <linux/regset.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

#include "kpi.h"

/* Bits of MXCSR that every processor with a 64-bit mode has. */
#define MXCSR_KNOWN 0xffffu

static const struct user_regset *regset(struct task_struct *task, u32 note)
{
	const struct user_regset_view *view = task_user_regset_view(task);
	u32 i;

	for (i = 0; i < view->n; i++)
		if (view->regsets[i].core_note_type == note)
			return &view->regsets[i];
	return NULL;
}

/* Calls that give EINTR for any wake-up and have no effect before it: kernel-notes 1.3. */
static bool mendable(unsigned long nr)
{
	static const u16 calls[] = {
		__NR_epoll_wait, __NR_epoll_pwait, __NR_epoll_pwait2, __NR_semop, __NR_semtimedop,
		__NR_rt_sigtimedwait, __NR_recvfrom, __NR_recvmsg, __NR_accept, __NR_accept4,
		__NR_io_getevents, __NR_io_uring_enter,
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i] == nr)
			return true;
	return false;
}

void kpi_syscall_mend(void)
{
	struct pt_regs *regs = task_pt_regs(current);

	if (regs->ax == -EINTR && (long)regs->orig_ax >= 0 && !task_sigpending(current) &&
	    mendable(regs->orig_ax))
		regs->ax = -ERESTARTNOHAND;
}

int kpi_regs_get(u64 *regs)
{
	const struct user_regset *rs = regset(current, NT_PRSTATUS);
	int rc;

	if (!rs || rs->n * rs->size != KPI_REGS * sizeof(u64))
		return -EOPNOTSUPP;
	rc = regset_get(current, rs, KPI_REGS * sizeof(u64), regs);
	return rc < 0 ? rc : 0;
}

int kpi_regs_set(struct task_struct *task, const u64 *regs)
{
	const struct user_regset *rs = regset(task, NT_PRSTATUS);

	if (!rs || rs->n * rs->size != KPI_REGS * sizeof(u64))
		return -EOPNOTSUPP;
	return rs->set(task, rs, 0, KPI_REGS * sizeof(u64), regs, NULL);
}

u32 kpi_xstate_len(void)
{
	const struct user_regset *rs = regset(current, NT_X86_XSTATE);

	return rs ? rs->n * rs->size : 0;
}

int kpi_xstate_get(u8 *out, u32 len)
{
	const struct user_regset *rs = regset(current, NT_X86_XSTATE);
	int rc = rs ? regset_get(current, rs, len, out) : -EOPNOTSUPP;

	return rc < 0 ? rc : 0;
}

/*
 * Whether XRSTOR in user mode takes it: the standard format, no component that this processor or
 * kernel lacks, none that a program must ask for first, no bit that must be zero.
 */
bool kpi_xstate_fits(const u8 *data, u32 len)
{
	const struct xregs_state *state = (const struct xregs_state *)data;
	u64 usable = xgetbv(XCR_XFEATURE_ENABLED_MASK) & ~XFEATURE_MASK_USER_DYNAMIC;

	if (len < sizeof(state->i387) + sizeof(state->header) || len != kpi_xstate_len())
		return false;
	return !(state->header.xfeatures & ~usable) && !state->header.xcomp_bv &&
	       !memchr_inv(state->header.reserved, 0, sizeof(state->header.reserved)) &&
	       !(state->i387.mxcsr & ~MXCSR_KNOWN);
}
