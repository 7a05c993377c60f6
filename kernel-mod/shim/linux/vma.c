// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Mappings and the numbers of an address space. */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "kpi.h"

#define HINTS (VM_DONTCOPY | VM_DONTDUMP | VM_WIPEONFORK | VM_SEQ_READ | VM_RAND_READ | \
	       VM_HUGEPAGE | VM_NOHUGEPAGE)

int kpi_vma_hint(u64 start, u64 end, u64 flags)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int rc = -EINVAL;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, start);
	if (vma && vma->vm_start == start && vma->vm_end == end &&
	    !((flags & VM_WIPEONFORK) && !vma_is_anonymous(vma))) {
		vm_flags_set(vma, flags & HINTS);
		rc = 0;
	}
	mmap_write_unlock(mm);
	return rc;
}

u64 kpi_vma_count(struct mm_struct *mm)
{
	return READ_ONCE(mm->map_count);
}

static void describe(struct vm_area_struct *vma, struct kpi_vma *out)
{
	out->start = vma->vm_start;
	out->end = vma->vm_end;
	out->flags = vma->vm_flags;
	out->page_off = vma->vm_pgoff;
	out->file = vma->vm_file ? (struct kpi_file *)get_file(vma->vm_file) : NULL;
	out->anon = vma_is_anonymous(vma);
	out->special = !vma->vm_file && vma->vm_ops;
}

s64 kpi_vmas(struct mm_struct *mm, struct kpi_vma *out, u64 count_max)
{
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, 0);
	s64 n = 0;
	int rc = mmap_read_lock_killable(mm);

	if (rc)
		return rc;
	for_each_vma(vmi, vma) {
		if (n == count_max) {
			rc = -E2BIG;
			break;
		}
		describe(vma, &out[n++]);
	}
	mmap_read_unlock(mm);
	while (rc && n-- > 0)
		if (out[n].file)
			kpi_file_put(out[n].file);
	return rc ? rc : n;
}

void kpi_mm_info(struct mm_struct *mm, struct kpi_mm_info *out)
{
	memset(out, 0, sizeof(*out));
	spin_lock(&mm->arg_lock);
	out->start_code = mm->start_code;
	out->end_code = mm->end_code;
	out->start_data = mm->start_data;
	out->end_data = mm->end_data;
	out->start_brk = mm->start_brk;
	out->brk = mm->brk;
	out->start_stack = mm->start_stack;
	out->arg_start = mm->arg_start;
	out->arg_end = mm->arg_end;
	out->env_start = mm->env_start;
	out->env_end = mm->env_end;
	spin_unlock(&mm->arg_lock);
	out->mmap_base = mm->mmap_base;
	out->mmap_legacy_base = mm->mmap_legacy_base;
	out->def_flags = mm->def_flags;
	out->auxv_count = min_t(u32, AT_VECTOR_SIZE, KPI_AUXV_MAX);
	memcpy(out->auxv, mm->saved_auxv, out->auxv_count * sizeof(u64));
}

void kpi_mm_info_set(const struct kpi_mm_info *in)
{
	struct mm_struct *mm = current->mm;
	u32 n = min_t(u32, min_t(u32, AT_VECTOR_SIZE, KPI_AUXV_MAX), in->auxv_count);

	mmap_write_lock(mm);
	spin_lock(&mm->arg_lock);
	mm->start_code = in->start_code;
	mm->end_code = in->end_code;
	mm->start_data = in->start_data;
	mm->end_data = in->end_data;
	mm->start_brk = in->start_brk;
	mm->brk = in->brk;
	mm->start_stack = in->start_stack;
	mm->arg_start = in->arg_start;
	mm->arg_end = in->arg_end;
	mm->env_start = in->env_start;
	mm->env_end = in->env_end;
	spin_unlock(&mm->arg_lock);
	mm->mmap_base = in->mmap_base;
	mm->mmap_legacy_base = in->mmap_legacy_base;
	memcpy(mm->saved_auxv, in->auxv, n * sizeof(u64));
	mmap_write_unlock(mm);
}
