// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Other pages than the one that was faulted on, in the same address space and
 * mostly in the same mapping.  All of it while the fault is being answered: the
 * address space is locked for reading.
 */
#include <linux/highmem.h>
#include <linux/swap.h>
/* Not before swap.h: it uses what that defines. */
#include <linux/leafops.h>

#include "mm_shim.h"

/* The entries of all addresses from i on that one page table has.  Gives the next. */
static u64 read_table(struct mm_struct *mm, const u64 *addr, u64 i, u64 count, pte_t *out)
{
	u64 first = addr[i], table = first & PMD_MASK;
	pmd_t *pmd = holon_pmd(mm, first);
	spinlock_t *ptl;
	pte_t *pte;

	pte = pmd ? holon_pte_lock(mm, pmd, first, &ptl) : NULL;
	for (; i < count && (addr[i] & PMD_MASK) == table; i++)
		out[i] = pte ? ptep_get(pte + pte_index(addr[i]) - pte_index(first)) : __pte(0);
	if (pte)
		holon_pte_unlock(ptl);
	return i;
}

void kpi_fault_tags(const struct kpi_fault *fault, const u64 *addr, u64 *tag, u64 count)
{
	const struct vm_fault *vmf = fault->vmf;
	const struct vm_area_struct *vma = vmf->vma;
	pte_t pte[KPI_LODGE_MAX];
	u64 i;

	memset(tag, 0, count * sizeof(*tag));
	if (count > KPI_LODGE_MAX)
		return;
	for (i = 0; i < count;)
		i = read_table(vma->vm_mm, addr, i, count, pte);
	for (i = 0; i < count; i++)
		if (addr[i] >= vma->vm_start && addr[i] < vma->vm_end)
			tag[i] = holon_pte_tag(pte[i]);
}

void kpi_fault_touched(const struct kpi_fault *fault, const u64 *addr, u64 count, u32 *here,
		       u32 *touched)
{
	const struct vm_fault *vmf = fault->vmf;
	pte_t pte[KPI_LODGE_MAX];
	u64 i;

	*here = *touched = 0;
	if (count > KPI_LODGE_MAX)
		return;
	for (i = 0; i < count;)
		i = read_table(vmf->vma->vm_mm, addr, i, count, pte);
	for (i = 0; i < count; i++) {
		if (!pte_present(pte[i]))
			continue;
		*here |= 1U << i;
		if (pte_young(pte[i]))
			*touched |= 1U << i;
	}
}

/* Pages from i on that lie side by side.  Gives the next position. */
static u64 place_run(struct vm_fault *vmf, struct kpi_place *place, u64 i, long *placed)
{
	unsigned long src[KPI_LODGE_MAX], dst[KPI_LODGE_MAX];
	struct migrate_vma args = {
		.vma = vmf->vma,
		.src = src,
		.dst = dst,
		.start = place->addr[i],
		.pgmap_owner = holon_pool_owner(),
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
	};
	u64 first = i, count, n;

	while (i < place->pages && place->addr[i] == args.start + (i - first) * PAGE_SIZE)
		i++;
	count = i - first;
	args.end = args.start + count * PAGE_SIZE;
	if (args.start < vmf->vma->vm_start || args.end > vmf->vma->vm_end ||
	    migrate_vma_setup(&args))
		return i;
	for (n = 0; n < count; n++) {
		struct page *far = migrate_pfn_to_page(src[n]), *page = place->page[first + n];

		dst[n] = 0;
		/* Holes are not ours to fill. */
		if (!far || !(src[n] & MIGRATE_PFN_MIGRATE) ||
		    holon_pool_tag(far) != place->tag[first + n])
			continue;
		get_page(page);
		lock_page(page);
		dst[n] = migrate_pfn(page_to_pfn(page));
	}
	migrate_vma_pages(&args);
	for (n = 0; n < count; n++) {
		if (!dst[n] || !(src[n] & MIGRATE_PFN_MIGRATE))
			continue;
		/* Ours; the page table has its own. */
		put_page(place->page[first + n]);
		place->page[first + n] = NULL;
		++*placed;
	}
	migrate_vma_finalize(&args);
	return i;
}

long kpi_fault_place(const struct kpi_fault *fault, struct kpi_place *place)
{
	long placed = 0;
	u64 i;

	if (place->pages > KPI_LODGE_MAX)
		return -EINVAL;
	for (i = 0; i < place->pages;)
		i = place_run(fault->vmf, place, i, &placed);
	return placed;
}
