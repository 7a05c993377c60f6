// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * A process touched a page that lives elsewhere.  The kernel calls us with the
 * address space locked for reading, the pool page locked and referenced.  The
 * content is fetched first, into a fresh page; only then is the mapping taken
 * apart, so that nobody waits on a migration entry for the network's sake.  Of a
 * huge page only the part that was touched comes: the rest becomes single pages.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "mm_shim.h"

/* Someone may hold a passing reference to the page; it goes away by itself. */
#define REPLACE_TRIES 16

/* True if `fresh` now stands where the pool page did (its reference is used). */
static bool fault_replace(struct vm_fault *vmf, struct page *fresh)
{
	unsigned long at = vmf->address & PAGE_MASK, src = 0, dst = 0;
	struct migrate_vma args = {
		.vma = vmf->vma,
		.start = at,
		.end = at + PAGE_SIZE,
		.src = &src,
		.dst = &dst,
		.pgmap_owner = holon_pool_owner(),
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
		.fault_page = vmf->page,
	};
	bool moved;

	if (migrate_vma_setup(&args))
		return false;
	if (src & MIGRATE_PFN_MIGRATE) {
		get_page(fresh);
		lock_page(fresh);
		dst = migrate_pfn(page_to_pfn(fresh));
	}
	migrate_vma_pages(&args);
	moved = dst && (src & MIGRATE_PFN_MIGRATE);
	migrate_vma_finalize(&args);
	return moved;
}

/* Was a huge page touched that is mapped whole? */
static bool fault_is_huge(const struct vm_fault *vmf)
{
	return !vmf->pte && folio_test_large(page_folio(vmf->page));
}

/* The page of the pool that was touched. */
static struct page *fault_page(const struct vm_fault *vmf)
{
	unsigned long at = fault_is_huge(vmf) ? (vmf->address & ~PMD_MASK) >> PAGE_SHIFT : 0;

	return vmf->page + at;
}

/*
 * Has a page table stand for a huge page.  The kernel replaces a part of one only
 * behind a page table: else it finds the fault's own reference one too many for a
 * split.  Asked to put single pages in the place of the whole it first makes the
 * table and then sees that reference; ours makes sure of that, for `any`, which is
 * offered for the first page, must not go in.
 */
static void fault_unfold(struct vm_fault *vmf, struct page *any, unsigned long *pfns)
{
	unsigned long at = vmf->address & PMD_MASK;
	struct migrate_vma args = {
		.vma = vmf->vma,
		.start = at,
		.end = at + PMD_SIZE,
		.src = pfns,
		.dst = pfns + HOLON_HUGE,
		.pgmap_owner = holon_pool_owner(),
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE | MIGRATE_VMA_SELECT_COMPOUND,
		.fault_page = vmf->page,
	};

	if (at < vmf->vma->vm_start || at + PMD_SIZE > vmf->vma->vm_end)
		return;
	get_page(vmf->page);
	if (!migrate_vma_setup(&args)) {
		if (args.src[0] & MIGRATE_PFN_COMPOUND) {
			get_page(any);
			lock_page(any);
			args.dst[0] = migrate_pfn(page_to_pfn(any));
		}
		migrate_vma_pages(&args);
		migrate_vma_finalize(&args);
	}
	put_page(vmf->page);
}

/*
 * There is no memory now.  The access faults again: where the kernel itself touches
 * the page (rseq, a signal's frame), VM_FAULT_OOM would end the process.  One that ends
 * anyway must not wait for memory, perhaps for its own.
 */
static vm_fault_t fault_again(void)
{
	if (fatal_signal_pending(current) || current->flags & (PF_EXITING | PF_DUMPCORE))
		return VM_FAULT_OOM;
	schedule_timeout_killable(1);
	return 0;
}

static vm_fault_t fault_answer(struct vm_fault *vmf, struct page *fresh, unsigned long *pfns)
{
	struct kpi_fault fault = {
		.tag = holon_pool_tag(fault_page(vmf)),
		.addr = vmf->address & PAGE_MASK,
		.mm = (unsigned long)vmf->vma->vm_mm,
		.vmf = vmf,
	};
	int rc, tries;

	rc = kapi_mm_page_wanted(&fault, fresh);
	for (tries = 0; !rc && tries < REPLACE_TRIES; tries++) {
		if (pfns && fault_is_huge(vmf))
			fault_unfold(vmf, fresh, pfns);
		if (fault_replace(vmf, fresh))
			break;
		cond_resched();
	}
	/* Not replaced after all tries: the access faults again. */
	if (rc == -ENOMEM)
		return fault_again();
	return rc ? VM_FAULT_SIGBUS : 0;
}

/*
 * A page for the content.  Where none is free, others' pages go first: the kernel's
 * reclaim asks for these only beside files, and without swap takes files alone meanwhile.
 */
static struct page *fault_fresh(struct vm_fault *vmf)
{
	const gfp_t easily = (GFP_HIGHUSER_MOVABLE | __GFP_NOWARN) & ~__GFP_DIRECT_RECLAIM;
	struct page *fresh = alloc_page_vma(easily, vmf->vma, vmf->address);

	if (fresh)
		return fresh;
	kapi_mm_make_room();
	return alloc_page_vma(GFP_HIGHUSER_MOVABLE, vmf->vma, vmf->address);
}

vm_fault_t holon_mm_fault(struct vm_fault *vmf)
{
	struct page *fresh = fault_fresh(vmf);
	unsigned long *pfns = NULL;
	vm_fault_t result;

	if (fault_is_huge(vmf))
		pfns = kvmalloc_array(2 * HOLON_HUGE, sizeof(*pfns), GFP_KERNEL);
	if (fresh && (pfns || !fault_is_huge(vmf)))
		result = fault_answer(vmf, fresh, pfns);
	else
		result = fault_again();
	kvfree(pfns);
	if (fresh)
		put_page(fresh);
	return result;
}
