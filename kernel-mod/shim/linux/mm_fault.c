// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * A process touched a page that lives elsewhere.  The kernel calls us with the
 * address space locked for reading, the pool page locked and referenced.  The
 * content is fetched first, into a fresh page; only then is the mapping taken
 * apart, so that nobody waits on a migration entry for the network's sake.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/sched.h>

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

vm_fault_t holon_mm_fault(struct vm_fault *vmf)
{
	struct page *fresh = alloc_page_vma(GFP_HIGHUSER_MOVABLE, vmf->vma, vmf->address);
	struct kpi_fault fault = {
		.tag = holon_pool_tag(vmf->page),
		.addr = vmf->address & PAGE_MASK,
		.mm = (unsigned long)vmf->vma->vm_mm,
		.vmf = vmf,
	};
	int rc, tries;

	if (!fresh)
		return VM_FAULT_OOM;
	rc = kapi_mm_page_wanted(&fault, fresh);
	for (tries = 0; !rc && tries < REPLACE_TRIES; tries++) {
		if (fault_replace(vmf, fresh))
			break;
		cond_resched();
	}
	put_page(fresh);
	/* Not replaced after all tries: the access faults again. */
	if (rc == -ENOMEM)
		return VM_FAULT_OOM;
	return rc ? VM_FAULT_SIGBUS : 0;
}
