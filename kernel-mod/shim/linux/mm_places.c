// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Where a process has pages: read from its upper page tables, and page by page. */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>

#include "mm_shim.h"

static void area_fill(struct vm_area_struct *vma, struct kpi_area *out)
{
	out->start = vma->vm_start;
	out->end = vma->vm_end;
	out->special = vma_is_dax(vma) ||
		       (vma->vm_flags & (VM_SPECIAL | VM_SHARED | VM_HUGETLB));
	out->anon = !out->special && vma_is_anonymous(vma);
	/* Without an anon_vma no page of it was ever written. */
	out->cow = !out->special && vma->vm_file && vma->anon_vma;
}

int kpi_mm_area(struct mm_struct *mm, u64 addr, struct kpi_area *out)
{
	struct vm_area_struct *vma;

	memset(out, 0, sizeof(*out));
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, addr);
	if (vma)
		area_fill(vma, out);
	mmap_read_unlock(mm);
	return vma != NULL;
}

/*
 * Does the page middle directory that covers addr have anything?  *step is how
 * far the answer reaches.
 */
static bool populated(struct mm_struct *mm, u64 addr, u64 *step)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	*step = PGDIR_SIZE;
	if (pgd_none(*pgd))
		return false;
	*step = P4D_SIZE;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(READ_ONCE(*p4d)))
		return false;
	*step = PUD_SIZE;
	pud = pud_offset(p4d, addr);
	if (pud_none(READ_ONCE(*pud)) || pud_leaf(READ_ONCE(*pud)))
		return false;
	*step = PMD_SIZE;
	return !pmd_none(pmdp_get_lockless(pmd_offset(pud, addr)));
}

/* Appends [start, end) to the runs; false if there is no room. */
static bool run_add(struct kpi_run *out, u64 max, long *n, u64 start, u64 end)
{
	struct kpi_run *last = *n ? &out[*n - 1] : NULL;

	if (last && last->start + last->pages * PAGE_SIZE == start) {
		last->pages += (end - start) >> PAGE_SHIFT;
		return true;
	}
	if ((u64)*n == max)
		return false;
	out[(*n)++] = (struct kpi_run){ start, (end - start) >> PAGE_SHIFT };
	return true;
}

long kpi_mm_populated(struct mm_struct *mm, u64 start, u64 end,
		      struct kpi_run *out, u64 max, u64 *next)
{
	u64 addr = start, step, to;
	struct vm_area_struct *vma;
	long n = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	/* Only what is mapped now has page tables that stay while the lock is held. */
	vma = vma_lookup(mm, start);
	if (!vma) {
		mmap_read_unlock(mm);
		*next = end;
		return 0;
	}
	end = min_t(u64, end, vma->vm_end);
	while (addr < end) {
		bool any = populated(mm, addr, &step);

		to = min_t(u64, end, (addr & ~(step - 1)) + step);
		if (any && !run_add(out, max, &n, addr, to))
			break;
		addr = to;
	}
	mmap_read_unlock(mm);
	*next = addr;
	return n;
}

/* Sets the bits of the anonymous pages among page[0..n). */
static void present_note(struct page **page, long n, u64 at, u64 *bits)
{
	long i;

	for (i = 0; i < n; i++, at++) {
		if (PageAnon(page[i]))
			bits[at / 64] |= 1ULL << (at % 64);
		put_page(page[i]);
	}
}

#define PRESENT_STEP 32

int kpi_mm_present(struct mm_struct *mm, u64 start, u64 pages, u64 *bits)
{
	struct page *page[PRESENT_STEP];
	int locked = 0;
	u64 at = 0;

	memset(bits, 0, DIV_ROUND_UP(pages, 64) * sizeof(*bits));
	while (at < pages) {
		long n = min_t(u64, pages - at, PRESENT_STEP);

		if (!locked && mmap_read_lock_killable(mm))
			return -EINTR;
		locked = 1;
		n = get_user_pages_remote(mm, start + at * PAGE_SIZE, n,
					  FOLL_DUMP | FOLL_FORCE, page, &locked);
		if (n > 0)
			present_note(page, n, at, bits);
		at += n > 0 ? n : 1;
		if (n < 0 && n != -EFAULT)
			break;
	}
	if (locked)
		mmap_read_unlock(mm);
	return at < pages ? -EIO : 0;
}

int kpi_mm_swapped(struct mm_struct *mm)
{
	return get_mm_counter_sum(mm, MM_SWAPENTS) != 0;
}
