// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Which pages of a process may go out, and which of them were touched lately. */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/mmu_notifier.h>
#include <linux/page_idle.h>
#include <linux/pgtable.h>
#include <linux/userfaultfd_k.h>

#include "mm_shim.h"

/* Memory that is not the process's alone, or must be here. */
#define STAYS (VM_SPECIAL | VM_SHARED | VM_LOCKED | VM_DROPPABLE)

/*
 * What is marked for merging stays too.  ksmd maps a merged page first and enters
 * the place in the page's list later; if migrate_vma_setup() unmaps the page in
 * between, the place is not found when it is to be mapped again, and whoever
 * touches it faults for ever.
 */
bool holon_may_lodge(struct vm_area_struct *vma)
{
	return vma && vma_is_anonymous(vma) && !is_vm_hugetlb_page(vma) && !vma_is_dax(vma) &&
	       !(vma->vm_flags & (STAYS | VM_MERGEABLE)) &&
	       !userfaultfd_armed(vma) && !mm_has_notifiers(vma->vm_mm);
}

static bool has_page(unsigned long start, unsigned long end, unsigned long addr)
{
	return start < end && addr >= (start & PAGE_MASK) && addr < PAGE_ALIGN(end);
}

/* Arguments and environment. */
bool holon_stays(struct mm_struct *mm, unsigned long addr)
{
	return has_page(READ_ONCE(mm->arg_start), READ_ONCE(mm->arg_end), addr) ||
	       has_page(READ_ONCE(mm->env_start), READ_ONCE(mm->env_end), addr);
}

pmd_t *holon_pmd(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(READ_ONCE(*p4d)))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(READ_ONCE(*pud)) || pud_leaf(READ_ONCE(*pud)))
		return NULL;
	return pmd_offset(pud, addr);
}

/*
 * What the kernel's pte_offset_map_lock() does, which modules do not get.  A
 * table may be freed while the address space is locked for reading, but not
 * before an RCU grace period, and it is not the directory's any more then.
 */
pte_t *holon_pte_lock(struct mm_struct *mm, pmd_t *pmd, unsigned long addr, spinlock_t **ptl)
{
	pmd_t val;

	for (;;) {
		rcu_read_lock();
		val = pmdp_get_lockless(pmd);
		if (pmd_none(val) || !pmd_present(val) || pmd_trans_huge(val) || pmd_bad(val))
			break;
		*ptl = pte_lockptr(mm, &val);
		spin_lock(*ptl);
		if (pmd_same(val, pmdp_get_lockless(pmd)))
			return pte_offset_kernel(&val, addr);
		holon_pte_unlock(*ptl);
	}
	rcu_read_unlock();
	return NULL;
}

void holon_pte_unlock(spinlock_t *ptl)
{
	spin_unlock(ptl);
	rcu_read_unlock();
}

/* Pages that others use too, or that a device may write to, stay. */
static bool folio_may_lodge(struct folio *folio)
{
	return folio_test_anon(folio) && !folio_test_ksm(folio) &&
	       !folio_is_zone_device(folio) && !folio_maybe_mapped_shared(folio) &&
	       !folio_maybe_dma_pinned(folio);
}

struct page *holon_pte_page(pte_t pte)
{
	struct page *page;

	if (!pte_present(pte) || pte_special(pte) || !pfn_valid(pte_pfn(pte)))
		return NULL;
	page = pte_page(pte);
	return folio_may_lodge(page_folio(page)) ? page : NULL;
}

/* Reads and clears the accessed bit; the kernel's own ageing is told of it. */
static bool touched(unsigned long *entry, struct folio *folio)
{
	if (!test_and_clear_bit(_PAGE_BIT_ACCESSED, entry))
		return false;
	folio_set_young(folio);
	return true;
}

static void region_huge(pmd_t *pmd, struct mm_struct *mm, unsigned long first,
			unsigned long pages, struct kpi_region *out)
{
	spinlock_t *ptl = pmd_lock(mm, pmd);
	struct folio *folio;

	if (pmd_present(*pmd) && pmd_trans_huge(*pmd)) {
		folio = page_folio(pmd_page(*pmd));
		if (folio_may_lodge(folio)) {
			bitmap_set((unsigned long *)out->here, first, pages);
			if (touched((unsigned long *)pmd, folio))
				bitmap_set((unsigned long *)out->touched, first, pages);
		}
	}
	spin_unlock(ptl);
}

static void region_part(struct mm_struct *mm, unsigned long addr, unsigned long end,
			struct kpi_region *out)
{
	unsigned long at = (addr & ~PMD_MASK) >> PAGE_SHIFT;
	pmd_t *pmd = holon_pmd(mm, addr);
	struct page *page;
	spinlock_t *ptl;
	pte_t *pte;

	if (!pmd)
		return;
	pte = holon_pte_lock(mm, pmd, addr, &ptl);
	if (!pte) {
		region_huge(pmd, mm, at, (end - addr) >> PAGE_SHIFT, out);
		return;
	}
	for (; addr < end; addr += PAGE_SIZE, pte++, at++) {
		page = holon_pte_page(ptep_get(pte));
		if (!page || holon_stays(mm, addr))
			continue;
		__set_bit(at, (unsigned long *)out->here);
		if (touched(&pte->pte, page_folio(page)))
			__set_bit(at, (unsigned long *)out->touched);
	}
	holon_pte_unlock(ptl);
}

/* One piece; false if it has nothing that may go out. */
static bool region_look(struct mm_struct *mm, u64 start, struct kpi_region *out)
{
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, start);

	memset(out, 0, sizeof(*out));
	out->start = start;
	for_each_vma_range(vmi, vma, start + PMD_SIZE)
		if (holon_may_lodge(vma))
			region_part(mm, max_t(u64, vma->vm_start, start),
				    min_t(u64, vma->vm_end, start + PMD_SIZE), out);
	return !bitmap_empty((unsigned long *)out->here, PTRS_PER_PTE);
}

long kpi_mm_regions(struct mm_struct *mm, u64 start, struct kpi_region *out, u64 max, u64 *next)
{
	struct vm_area_struct *vma;
	long n = 0;

	*next = ~0ULL;
	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	while ((vma = find_vma(mm, start))) {
		if (!holon_may_lodge(vma)) {
			start = vma->vm_end;
			continue;
		}
		start = max_t(u64, start, vma->vm_start) & PMD_MASK;
		if ((u64)n == max || need_resched()) {
			*next = start;
			break;
		}
		n += region_look(mm, start, &out[n]);
		start += PMD_SIZE;
	}
	mmap_read_unlock(mm);
	return n;
}
