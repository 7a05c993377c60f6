// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Laying out the address space of a process that is made from an image. */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>

#include "kpi.h"

/*
 * The restorer, in user mode, for what only a system call can do, and to load the vector state as
 * any program may: the kernel has no call for that which a module could make. ebx: control fd, r12:
 * address of the vDSO's first page or 0, r14: where the vector state is put while the first ioctl
 * lasts. Uses no stack. Its last call does not return here: the task then has the registers of the
 * image.
 */
extern const u8 holon_restorer_start[], holon_restorer_end[];
asm(".pushsection .rodata\n"
    "holon_restorer_start:\n"
    "	xor	%eax, %eax\n"
    "	test	%r12, %r12\n"
    "	jz	1f\n"
    "	mov	$158, %eax\n" /* arch_prctl(ARCH_MAP_VDSO_64, r12) */
    "	mov	$0x2003, %edi\n"
    "	mov	%r12, %rsi\n"
    "	syscall\n"
    "1:	mov	%rax, %rdx\n"
    "	mov	$16, %eax\n" /* ioctl(fd, KPI_CTL_RESUME, result) */
    "	mov	%ebx, %edi\n"
    "	mov	$0x4881, %esi\n"
    "	syscall\n"
    "	mov	$-1, %eax\n" /* all that the processor has */
    "	mov	$-1, %edx\n"
    "	xrstor64 (%r14)\n"
    "	mov	$16, %eax\n" /* ioctl(fd, KPI_CTL_LOADED, 0) */
    "	mov	%ebx, %edi\n"
    "	mov	$0x4882, %esi\n"
    "	xor	%edx, %edx\n"
    "	syscall\n"
    "	ud2\n"
    "holon_restorer_end:\n"
    ".popsection\n");

int kpi_poke(u64 addr, const u8 *data, size_t len)
{
	int n = access_process_vm(current, addr, (void *)data, len, FOLL_WRITE | FOLL_FORCE);

	return n == (int)len ? 0 : -EFAULT;
}

int kpi_map(u64 start, u64 len, u64 prot, u64 flags, struct kpi_file *file, u64 page_off)
{
	unsigned long rc = vm_mmap((struct file *)file, start, len, prot,
				   flags | MAP_FIXED_NOREPLACE, page_off << PAGE_SHIFT);

	if (IS_ERR_VALUE(rc))
		return rc;
	return rc == start ? 0 : -EEXIST;
}

int kpi_unmap(u64 start, u64 len)
{
	return vm_munmap(start, len);
}

int kpi_restorer_map(struct kpi_restorer *out)
{
	const unsigned long flags = MAP_PRIVATE | MAP_ANONYMOUS;
	unsigned long at = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_EXEC, flags, 0);

	if (IS_ERR_VALUE(at))
		return at;
	out->code = at;
	out->data_len = PAGE_ALIGN(kpi_xstate_len() + 1);
	at = vm_mmap(NULL, 0, out->data_len, PROT_READ, flags, 0);
	if (IS_ERR_VALUE(at))
		return at;
	out->data = at;
	return kpi_poke(out->code, holon_restorer_start, holon_restorer_end - holon_restorer_start);
}

int kpi_restorer_unmap(const struct kpi_restorer *restorer)
{
	int rc = vm_munmap(restorer->code, PAGE_SIZE);

	return rc ?: vm_munmap(restorer->data, restorer->data_len);
}

int kpi_restorer_feed(const struct kpi_restorer *restorer, const u8 *data, u32 len)
{
	if (len > restorer->data_len || !kpi_xstate_fits(data, len))
		return -EOPNOTSUPP;
	return kpi_poke(restorer->data, data, len);
}

/* As exec does it, for the file that the image names instead of the image's own. */
int kpi_exe_set(struct kpi_file *exe)
{
	struct mm_struct *mm = current->mm;
	struct file *new = (struct file *)exe, *old;
	int rc = exe_file_deny_write_access(new);

	if (rc)
		return rc;
	get_file(new);
	mmap_write_lock(mm);
	old = rcu_dereference_protected(mm->exe_file, true);
	rcu_assign_pointer(mm->exe_file, new);
	mmap_write_unlock(mm);
	if (old) {
		exe_file_allow_write_access(old);
		fput(old);
	}
	return 0;
}
