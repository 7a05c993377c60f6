// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The binary format at the head of the list: images to restore, and execs that may be placed. */
#include <linux/binfmts.h>
#include <linux/elf.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#include "kpi.h"

static atomic_t placement = ATOMIC_INIT(0);

static int load(struct linux_binprm *bprm)
{
	if (!memcmp(bprm->buf, "HOLONIMG", 8))
		return kapi_image_load(bprm, get_unaligned_le64(bprm->buf + 8));
	if (!atomic_read(&placement) || memcmp(bprm->buf, ELFMAG, SELFMAG))
		return -ENOEXEC;
	return kapi_exec(bprm);
}

static struct linux_binfmt format = {
	.module = THIS_MODULE,
	.load_binary = load,
};

int kpi_binfmt_register(void)
{
	insert_binfmt(&format);
	return 0;
}

void kpi_binfmt_unregister(void)
{
	unregister_binfmt(&format);
}

void kpi_placement(bool on)
{
	atomic_set(&placement, on);
}

s64 kpi_bprm_name(struct linux_binprm *bprm, u8 *out, size_t len)
{
	return strscpy(out, bprm->filename, len);
}

struct kpi_file *kpi_bprm_file(struct linux_binprm *bprm)
{
	return (struct kpi_file *)bprm->file;
}

static int read_page(struct mm_struct *mm, unsigned long addr, u8 *out, size_t len)
{
	struct page *page;
	long rc;

	mmap_read_lock(mm);
	rc = get_user_pages_remote(mm, addr, 1, FOLL_FORCE, &page, NULL);
	mmap_read_unlock(mm);
	if (rc != 1)
		return rc < 0 ? rc : -EFAULT;
	memcpy_from_page(out, page, offset_in_page(addr), len);
	put_page(page);
	return 0;
}

/* The strings of argv, then of envp, then the name, as they lie in the new program's memory. */
s64 kpi_bprm_args(struct linux_binprm *bprm, u8 *out, size_t len, u32 *argc, u32 *envc)
{
	size_t bytes = bprm->vma->vm_end - sizeof(void *) - bprm->p;
	size_t done = 0;

	*argc = bprm->argc;
	*envc = bprm->envc;
	if (bytes > len)
		return -E2BIG;
	while (done < bytes) {
		unsigned long addr = bprm->p + done;
		size_t n = min_t(size_t, bytes - done, PAGE_SIZE - offset_in_page(addr));
		int rc = read_page(bprm->mm, addr, out + done, n);

		if (rc)
			return rc;
		done += n;
	}
	return bytes;
}

int kpi_bprm_begin(struct linux_binprm *bprm, u32 personality)
{
	int rc = begin_new_exec(bprm);

	if (rc)
		return rc;
	current->personality = personality;
	if (!(personality & ADDR_NO_RANDOMIZE))
		current->flags |= PF_RANDOMIZE;
	setup_new_exec(bprm);
	return kpi_unmap_all_but(NULL);
}

int kpi_bprm_start(struct linux_binprm *bprm, u64 ip, u64 rbx, u64 r12, u64 r14)
{
	struct pt_regs *regs = task_pt_regs(current);

	finalize_exec(bprm);
	start_thread(regs, ip, 0);
	regs->bx = rbx;
	regs->r12 = r12;
	regs->r14 = r14;
	return 0;
}

void *kpi_binfmt_current(void)
{
	return current->mm ? current->mm->binfmt : NULL;
}

/* Only ever what kpi_binfmt_current gave before: so that core dumps are written by its format. */
void kpi_binfmt_set(void *fmt)
{
	set_binfmt(fmt);
}
