// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Takes pages away from a process, in two looks.  At the first they are copied
 * while the process runs.  At the second, when others keep the copies, each is
 * unmapped for the time of a comparison, and goes if it is still the same.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pgtable.h>

#include "mm_shim.h"

/* The pages of one page table that the batch names, from i on; each with a reference. */
static u64 look_table(struct kpi_lodge *lodge, u64 i, struct page **page)
{
	u64 first = lodge->addr[i], end = (first & PMD_MASK) + PMD_SIZE;
	struct vm_area_struct *vma = NULL;
	pmd_t *pmd = holon_pmd(lodge->mm, first);
	spinlock_t *ptl;
	pte_t *pte;

	pte = pmd ? holon_pte_lock(lodge->mm, pmd, first, &ptl) : NULL;
	for (; i < lodge->pages && lodge->addr[i] < end; i++) {
		u64 at = lodge->addr[i];

		page[i] = NULL;
		if (!pte)
			continue;
		if (!vma || at >= vma->vm_end)
			vma = vma_lookup(lodge->mm, at);
		if (!holon_may_lodge(vma) || holon_stays(lodge->mm, at))
			continue;
		page[i] = holon_pte_page(ptep_get(pte + ((at - first) >> PAGE_SHIFT)));
		if (page[i])
			get_page(page[i]);
	}
	if (pte)
		holon_pte_unlock(ptl);
	return i;
}

/* A huge page's part: found by its directory entry. */
static struct page *look_huge(struct kpi_lodge *lodge, u64 addr)
{
	pmd_t *pmd = holon_pmd(lodge->mm, addr);
	struct page *page = NULL;
	spinlock_t *ptl;

	if (!pmd || !holon_may_lodge(vma_lookup(lodge->mm, addr)) ||
	    holon_stays(lodge->mm, addr))
		return NULL;
	ptl = pmd_lock(lodge->mm, pmd);
	if (pmd_present(*pmd) && pmd_trans_huge(*pmd)) {
		page = pmd_page(*pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT);
		if (folio_test_anon(page_folio(page)) &&
		    !folio_maybe_mapped_shared(page_folio(page)))
			get_page(page);
		else
			page = NULL;
	}
	spin_unlock(ptl);
	return page;
}

long kpi_mm_copy_out(struct kpi_lodge *lodge)
{
	struct page *page[KPI_LODGE_MAX];
	long copied = 0;
	u64 i;

	if (lodge->pages > KPI_LODGE_MAX)
		return -EINVAL;
	if (!mmap_read_trylock(lodge->mm))
		return -EAGAIN;
	for (i = 0; i < lodge->pages;)
		i = look_table(lodge, i, page);
	for (i = 0; i < lodge->pages; i++)
		if (!page[i])
			page[i] = look_huge(lodge, lodge->addr[i]);
	mmap_read_unlock(lodge->mm);
	for (i = 0; i < lodge->pages; i++) {
		if (!page[i])
			continue;
		memcpy_from_page(lodge->copy[i], page[i], 0, PAGE_SIZE);
		put_page(page[i]);
		copied |= 1L << i;
	}
	return copied;
}

/* Was the page touched since it was last looked at? */
static bool is_young(struct mm_struct *mm, u64 addr)
{
	pmd_t *pmd = holon_pmd(mm, addr);
	bool young = true;
	spinlock_t *ptl;
	pte_t *pte;

	if (!pmd)
		return true;
	pte = holon_pte_lock(mm, pmd, addr, &ptl);
	if (pte) {
		young = pte_young(ptep_get(pte));
		holon_pte_unlock(ptl);
		return young;
	}
	ptl = pmd_lock(mm, pmd);
	if (pmd_present(*pmd) && pmd_trans_huge(*pmd))
		young = pmd_young(*pmd);
	spin_unlock(ptl);
	return young;
}

static bool may_go(const struct kpi_lodge *lodge, u64 i, struct vm_area_struct *vma)
{
	u64 at = lodge->addr[i];

	return lodge->tag[i] && vma->vm_start <= at && at < vma->vm_end &&
	       (lodge->any || !is_young(lodge->mm, at));
}

/* Unmaps pages from i on that lie side by side.  Gives the next position. */
static u64 unmap_run(struct kpi_lodge *lodge, u64 i)
{
	struct vm_area_struct *vma = vma_lookup(lodge->mm, lodge->addr[i]);
	struct migrate_vma args = {
		.src = (unsigned long *)&lodge->src[i],
		.dst = (unsigned long *)&lodge->dst[i],
		.pgmap_owner = holon_pool_owner(),
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	u64 end = i;

	if (!holon_may_lodge(vma))
		return i + 1;
	while (end < lodge->pages && may_go(lodge, end, vma) &&
	       lodge->addr[end] == lodge->addr[i] + (end - i) * PAGE_SIZE)
		end++;
	if (end == i)
		return i + 1;
	args.vma = vma;
	args.start = lodge->addr[i];
	args.end = lodge->addr[i] + (end - i) * PAGE_SIZE;
	if (migrate_vma_setup(&args))
		memset(args.src, 0, (end - i) * sizeof(*args.src));
	return end;
}

/* The same content as was copied?  The page is locked, and nobody has it mapped. */
static bool is_same(struct page *page, const void *copy)
{
	const void *at = kmap_local_page(page);
	bool same = !memcmp(at, copy, PAGE_SIZE);

	kunmap_local(at);
	return same;
}

/* Those for which the pool has no page stay. */
static void choose(struct kpi_lodge *lodge)
{
	struct page *page, *far;
	u64 i;

	for (i = 0; i < lodge->pages; i++) {
		page = migrate_pfn_to_page(lodge->src[i]);
		/* Holes are not ours to fill. */
		if (!page)
			lodge->src[i] = 0;
		if (!page || !(lodge->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		/* What was merged since the first look is others' page too, and KSM's. */
		if (!PageAnon(page) || folio_test_ksm(page_folio(page)) ||
		    !is_same(page, lodge->copy[i]))
			continue;
		far = holon_pool_take(lodge->tag[i]);
		if (!far)
			return;
		lodge->dst[i] = migrate_pfn(page_to_pfn(far));
	}
}

/* Which went.  The others' pool pages carry nothing that could be freed by name. */
static void note(struct kpi_lodge *lodge)
{
	u64 i;

	for (i = 0; i < lodge->pages; i++) {
		struct page *far = migrate_pfn_to_page(lodge->dst[i]);

		if (!far)
			continue;
		if (lodge->src[i] & MIGRATE_PFN_MIGRATE) {
			lodge->gone |= 1U << i;
			lodge->pfn[i] = page_to_pfn(far);
		} else {
			holon_pool_forget(far);
		}
	}
}

int kpi_mm_lodge_begin(struct kpi_lodge *lodge)
{
	u64 i;

	lodge->gone = 0;
	memset(lodge->src, 0, sizeof(lodge->src));
	memset(lodge->dst, 0, sizeof(lodge->dst));
	memset(lodge->pfn, 0, sizeof(lodge->pfn));
	if (lodge->pages > KPI_LODGE_MAX)
		return -EINVAL;
	if (!mmap_read_trylock(lodge->mm))
		return -EAGAIN;
	for (i = 0; i < lodge->pages;)
		i = lodge->tag[i] ? unmap_run(lodge, i) : i + 1;
	choose(lodge);
	migrate_device_pages((unsigned long *)lodge->src, (unsigned long *)lodge->dst,
			     lodge->pages);
	note(lodge);
	return 0;
}

void kpi_mm_lodge_end(struct kpi_lodge *lodge)
{
	migrate_device_finalize((unsigned long *)lodge->src, (unsigned long *)lodge->dst,
				lodge->pages);
	mmap_read_unlock(lodge->mm);
}
