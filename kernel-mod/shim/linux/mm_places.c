// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Where a process has pages: read from its upper page tables, and page by page. */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/swap.h>
#include <linux/leafops.h>
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

/*
 * Is the process's own page behind this entry, wherever its content is: in
 * memory, in swap, on another node?
 */
static bool own_page(pte_t pte)
{
	softleaf_t entry;

	if (pte_none(pte))
		return false;
	if (pte_present(pte))
		return !pte_special(pte) && pfn_valid(pte_pfn(pte)) && PageAnon(pte_page(pte));
	entry = softleaf_from_pte(pte);
	if (softleaf_has_pfn(entry))
		return PageAnon(softleaf_to_page(entry));
	return softleaf_is_swap(entry);
}

/* As own_page(), of a huge page; -EAGAIN if it is a page table by now. */
static int own_huge(struct mm_struct *mm, pmd_t *pmd)
{
	spinlock_t *ptl = pmd_lock(mm, pmd);
	pmd_t val = *pmd;
	int own;

	if (pmd_none(val))
		own = 0;
	else if (!pmd_present(val))
		own = folio_test_anon(softleaf_to_folio(softleaf_from_pmd(val)));
	else if (pmd_trans_huge(val))
		own = PageAnon(pmd_page(val));
	else
		own = -EAGAIN;
	spin_unlock(ptl);
	return own;
}

/* The part of one page table from addr on; bit 0 of it is bit `at`. */
static void present_table(struct mm_struct *mm, u64 addr, u64 end, u64 at, void *out)
{
	pmd_t *pmd = holon_pmd(mm, addr);
	struct kpi_present *present = out;
	spinlock_t *ptl;
	int own = 0;
	pte_t *pte;

	if (!pmd)
		return;
	do {
		pte = holon_pte_lock(mm, pmd, addr, &ptl);
		if (!pte)
			own = own_huge(mm, pmd);
	} while (!pte && own == -EAGAIN);
	if (!pte) {
		if (!own)
			return;
		bitmap_set((unsigned long *)present->bits, at, (end - addr) >> PAGE_SHIFT);
		present->huge += (end - addr) >> PAGE_SHIFT;
		return;
	}
	for (; addr < end; addr += PAGE_SIZE, pte++, at++)
		if (own_page(ptep_get(pte)))
			__set_bit(at, (unsigned long *)present->bits);
	holon_pte_unlock(ptl);
}

/* The tags of a huge page's part. */
static void tags_huge(struct mm_struct *mm, pmd_t *pmd, u64 addr, u64 end, u64 *tag)
{
	spinlock_t *ptl = pmd_lock(mm, pmd);
	u64 first = holon_pmd_tag(*pmd), i;

	spin_unlock(ptl);
	for (i = 0; first && i < (end - addr) >> PAGE_SHIFT; i++)
		tag[i] = first + ((addr & ~PMD_MASK) >> PAGE_SHIFT) + i;
}

/* The part of one page table from addr on; what page `at` of the answer is. */
static void tags_table(struct mm_struct *mm, u64 addr, u64 end, u64 at, void *out)
{
	pmd_t *pmd = holon_pmd(mm, addr);
	u64 *tag = out;
	spinlock_t *ptl;
	pte_t *pte = pmd ? holon_pte_lock(mm, pmd, addr, &ptl) : NULL;

	if (!pte) {
		if (pmd)
			tags_huge(mm, pmd, addr, end, tag + at);
		return;
	}
	for (; addr < end; addr += PAGE_SIZE, pte++, at++)
		tag[at] = holon_pte_tag(ptep_get(pte));
	holon_pte_unlock(ptl);
}

/* Shows all that is mapped to `table`, one page table at most at a time. */
static int each_table(struct mm_struct *mm, u64 start, u64 pages, void *out,
		      void (*table)(struct mm_struct *, u64 addr, u64 end, u64 at, void *out))
{
	u64 addr = start, end = start + pages * PAGE_SIZE, to;
	struct vm_area_struct *vma;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	while (addr < end) {
		/* Only what is mapped now has page tables that stay while the lock is held. */
		vma = find_vma(mm, addr);
		if (!vma || vma->vm_start >= end)
			break;
		addr = max_t(u64, addr, vma->vm_start);
		to = min3((u64)vma->vm_end, end, (addr & PMD_MASK) + PMD_SIZE);
		table(mm, addr, to, (addr - start) >> PAGE_SHIFT, out);
		addr = to;
	}
	mmap_read_unlock(mm);
	return 0;
}

int kpi_mm_present(struct mm_struct *mm, u64 start, u64 pages, struct kpi_present *out)
{
	memset(out, 0, sizeof(*out));
	if (pages > KPI_MM_BATCH_MAX)
		return -EINVAL;
	return each_table(mm, start, pages, out, present_table);
}

int kpi_mm_tags(struct mm_struct *mm, u64 start, u64 pages, u64 *tag)
{
	memset(tag, 0, pages * sizeof(*tag));
	return each_table(mm, start, pages, tag, tags_table);
}

int kpi_mm_swapped(struct mm_struct *mm)
{
	return get_mm_counter_sum(mm, MM_SWAPENTS) != 0;
}
